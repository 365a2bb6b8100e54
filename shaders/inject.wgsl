// inject
