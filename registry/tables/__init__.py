"""Files of rows as spreadsheets, pandas and MLflow write them: which layout one has, and the table in it.

What could be read in two ways is refused with the names of both, because a table that is read wrongly goes unnoticed.
"""
