-- The dialect of a text file, one row; lines that do not fit into it are passed over.
--   $file  the file
SELECT delimiter, quote, skiprows, hasheader, list_transform(columns, lambda c: c.name)
FROM sniff_csv($file, ignore_errors = true)
