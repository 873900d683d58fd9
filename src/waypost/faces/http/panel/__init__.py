"""The panel: pages made on the server, which can be read without JavaScript."""
