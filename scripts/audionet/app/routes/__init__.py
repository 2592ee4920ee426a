"""The HTTP interface: what programs use, what the page Teach uses, and the pages themselves."""
