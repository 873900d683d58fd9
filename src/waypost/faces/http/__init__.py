"""The face over HTTP: the API for programs, the panel for people, figures for monitoring."""
