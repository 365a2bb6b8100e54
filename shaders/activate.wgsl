// activate
