"""`waypost-sendmail`: for programs that hand over mail as to /usr/sbin/sendmail.

PHP's mail(), cron and mutt do. It is started for every message, so it imports little.
"""
