// cross
