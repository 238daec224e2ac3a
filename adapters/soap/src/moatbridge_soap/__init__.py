"""moatbridge adapter: SOAP services of any WSDL."""
