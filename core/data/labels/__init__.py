"""Labels as files have them: whole numbers, names and tables. Classes come of them in one order."""
