"""moatbridge adapter: SFTP and local drop folders."""
