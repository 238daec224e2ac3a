"""SFTP protocol 3 over one SSH channel, pipelined, with every answer checked."""
