// truncate
