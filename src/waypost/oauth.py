"""OAuth 2.0 for `logins=` of a mailer: Google, Microsoft 365, others, and tokens of your own.

from waypost import oauth
logins = oauth.microsoft("robot@example.com", tenant="example.com", client_id="...",
                         client_secret="...")
mailer = waypost.Mailer("smtp://smtp.office365.com:587", logins=logins)
"""

from waypost.faces.library.oauth import (
    FileCache,
    MemoryCache,
    OAuth2,
    OAuthTokens,
    TokenFailure,
    TokenSource,
    client_credentials,
    google,
    google_service_account,
    microsoft,
    refresh_token,
)

__all__ = [
    "FileCache",
    "MemoryCache",
    "OAuth2",
    "OAuthTokens",
    "TokenFailure",
    "TokenSource",
    "client_credentials",
    "google",
    "google_service_account",
    "microsoft",
    "refresh_token",
]
