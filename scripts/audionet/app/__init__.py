"""The page of app.py and the HTTP interface that it shares with programs."""
