"""The web page of app.py and its HTTP interface."""
