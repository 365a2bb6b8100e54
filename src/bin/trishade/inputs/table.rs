//! Tables of text: a row an item, a number a column, with a header or without, and a column of labels if there is one.

use crate::failure::Failure;
use csv::{ReaderBuilder, StringRecord, Trim};
use trishade::{Error, Result};

/// Names of a column that holds labels, in lower case.
const LABELS: [&str; 7] = ["label", "labels", "class", "classes", "target", "targets", "y"];

/// Columns that an error names.
const LISTED: usize = 12;

/// The items of a table.
#[derive(Debug, Default, PartialEq)]
pub struct Table {
    /// Columns of numbers.
    pub columns: usize,
    /// Their numbers, row by row.
    pub values: Vec<f32>,
    /// The labels of the items as the file has them, if it has a column of labels.
    pub labels: Option<Vec<String>>,
    /// Items.
    pub rows: usize,
    /// How the table was understood, for people.
    pub said: String,
}

/// A table for items of so many numbers, or of any; `label` is the column of labels, by its name or, from 1, by its number.
///
/// [`Error::File`] names line and column of what is no finite number.
pub fn read(text: &str, at: &str, wanted: Option<usize>, label: Option<&str>) -> std::result::Result<Table, Failure> {
    let separator = separator(text);
    let mut builder = ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator).comment(Some(b'#')).trim(Trim::All);
    let (mut reader, mut record) = (builder.from_reader(text.as_bytes()), StringRecord::new());
    let mut known: Option<(Layout, Table)> = None;
    while reader.read_record(&mut record).map_err(|e| Error::File(format!("{at}: {e}")))? {
        // numbers in columns of equal width have several spaces between them
        let fields: Vec<&str> = record.iter().filter(|field| separator != b' ' || !field.is_empty()).collect();
        if fields.iter().all(|field| field.is_empty()) {
            continue;
        }
        if known.is_none() {
            let header = is_header(&fields, at)?.then(|| fields.iter().map(|&name| name.to_owned()).collect::<Vec<String>>());
            let of_items = header.is_none();
            let layout = Layout::new(fields.len(), header, wanted, label, at)?;
            let labels = layout.labels.map(|_| Vec::new());
            known = Some((layout, Table { labels, ..Table::default() }));
            if !of_items {
                continue;
            }
        }
        if let Some((layout, table)) = &mut known {
            layout.take(&fields, line_of(text, &record), table, at)?;
        }
    }
    let Some((layout, mut table)) = known else {
        return Err(Error::File(format!("{at}: a table without a line")).into());
    };
    table.columns = layout.numbers.len();
    if table.rows == 0 {
        return Err(Error::File(format!("{at}: a table with a header and no items")).into());
    }
    table.said = layout.said(table.rows);
    Ok(table)
}

/// The sign between the columns: the first of comma, semicolon, tab and space that the first line has.
fn separator(text: &str) -> u8 {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("");
    // within quotation marks it is none
    let bare: String = line.split('"').step_by(2).collect();
    *b",;\t ".iter().find(|&&sign| bare.contains(char::from(sign))).unwrap_or(&b',')
}

/// The line that a record begins in: its position is before lines that are left out.
fn line_of(text: &str, record: &StringRecord) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let rest = text.get(position.byte() as usize..).unwrap_or_default();
    position.line() + rest.lines().take_while(|line| line.is_empty() || line.starts_with('#')).count() as u64
}

/// Whether the first line has the names of the columns: no number among them, or, as pandas writes a table without names, nothing and
/// 0, 1, 2, ... Without the nothing these could be an item as well.
fn is_header(first: &[&str], at: &str) -> Result<bool> {
    let (indexed, names) = (first[0].is_empty(), &first[usize::from(first[0].is_empty())..]);
    match names.iter().enumerate().all(|(i, name)| *name == i.to_string()) {
        true if !indexed && names.len() > 2 => Err(Error::File(format!(
            "{at}: the first line, 0, 1, 2, ..., may be an item or, as pandas writes them, the columns' names: leave it out, or write 0.0"
        ))),
        counted => Ok(!first.iter().any(|field| is_number(field)) || (counted && indexed)),
    }
}

fn is_number(field: &str) -> bool {
    matches!(field, "True" | "true" | "False" | "false") || field.parse::<f64>().is_ok()
}

/// A finite number, or what is wrong with the field.
fn number(field: &str) -> std::result::Result<f32, String> {
    match (field, field.parse::<f64>()) {
        ("True" | "true", _) => Ok(1.0),
        ("False" | "false", _) => Ok(0.0),
        ("", _) => Err("is empty; every field needs a number".into()),
        (_, Ok(v)) if (v as f32).is_finite() => Ok(v as f32),
        (_, Ok(_)) => Err(format!("is '{field}', which is no finite number; fill or leave out what is missing")),
        (_, Err(_)) => Err(format!("is '{field}', which is no number")),
    }
}

/// The uses of the columns.
struct Layout {
    columns: usize,
    header: Option<Vec<String>>,
    numbers: Vec<usize>,
    labels: Option<usize>,
    /// Numbers of rows, as pandas writes them.
    index: bool,
    /// A column that could be one of labels, and is needed as numbers.
    kept: Option<usize>,
}

impl Layout {
    fn new(
        columns: usize,
        header: Option<Vec<String>>,
        wanted: Option<usize>,
        label: Option<&str>,
        at: &str,
    ) -> std::result::Result<Self, Failure> {
        let names = header.as_deref().unwrap_or_default();
        let named = label.map(|label| column_of(label, columns, names, at)).transpose()?;
        let index = columns > 1 && names.first().is_some_and(|name| name.is_empty() || name == "Unnamed: 0");
        let left = columns - usize::from(index);
        let candidates: Vec<usize> = (0..names.len()).filter(|&i| LABELS.contains(&names[i].to_lowercase().as_str())).collect();
        let usual = match candidates[..] {
            [one] if label.is_none() => Some(one),
            _ => None,
        };
        let needed = wanted == Some(left);
        let labels = named.or(usual.filter(|_| !needed && left > 1));
        let numbers: Vec<usize> = (usize::from(index)..columns).filter(|&column| labels != Some(column)).collect();
        let layout = Self { columns, header, numbers, labels, index, kept: usual.filter(|_| needed) };
        match wanted {
            Some(wanted) if wanted != layout.numbers.len() => Err(layout.misfit(wanted, at).into()),
            _ => Ok(layout),
        }
    }

    /// Takes the numbers and the label of a line.
    fn take(&self, fields: &[&str], line: u64, table: &mut Table, at: &str) -> Result<()> {
        if fields.len() != self.columns {
            return Err(Error::File(format!("{at}: line {line} has {} columns, the first has {}", fields.len(), self.columns)));
        }
        for &column in &self.numbers {
            table.values.push(number(fields[column]).map_err(|what| self.error(at, line, column, &what))?);
        }
        if let (Some(labels), Some(column)) = (&mut table.labels, self.labels) {
            labels.push(fields[column].to_owned());
        }
        table.rows += 1;
        Ok(())
    }

    fn misfit(&self, wanted: usize, at: &str) -> Error {
        let names = self.header.as_ref().map_or(String::new(), |names| format!(" ({})", list(names)));
        let (columns, left) = (self.columns, self.numbers.len());
        let besides = match (self.labels, self.index) {
            (None, false) => String::new(),
            (Some(label), false) => format!(" besides the labels ('{}')", self.name(label)),
            (None, true) => " besides the numbers of the rows".into(),
            (Some(label), true) => format!(" besides the numbers of the rows and the labels ('{}')", self.name(label)),
        };
        let hint = if left == wanted + 1 && self.labels.is_none() { "; if one holds labels, name it with --label-column" } else { "" };
        Error::Input(format!("{at}: {columns} columns{names}: {left} of numbers{besides}, and an item of the model has {wanted}{hint}"))
    }

    fn error(&self, at: &str, line: u64, column: usize, what: &str) -> Error {
        let name = self.header.as_ref().map_or(String::new(), |names| format!(" ('{}')", names[column]));
        let hint =
            if self.labels.is_none() && what.ends_with("no number") { "; a column of labels is named with --label-column" } else { "" };
        Error::File(format!("{at}: line {line}, column {}{name} {what}{hint}", column + 1))
    }

    fn said(&self, rows: usize) -> String {
        let with = if self.header.is_some() { "with" } else { "without" };
        let mut said = format!("{rows} items of {} numbers, {with} a header", self.numbers.len());
        if let Some(label) = self.labels {
            said += &format!(", labels from column '{}'", self.name(label));
        }
        if let Some(kept) = self.kept {
            said += &format!(", column '{}' among the numbers", self.name(kept));
        }
        if self.index {
            said += ", the first column, of the rows' numbers, left out";
        }
        said
    }

    fn name(&self, column: usize) -> String {
        self.header.as_ref().map_or_else(|| (column + 1).to_string(), |names| names[column].clone())
    }
}

/// The column that an option means.
fn column_of(label: &str, columns: usize, names: &[String], at: &str) -> std::result::Result<usize, Failure> {
    let by_name = names.iter().position(|name| name == label);
    let by_number = || label.parse::<usize>().ok().filter(|number| (1..=columns).contains(number)).map(|number| number - 1);
    by_name.or_else(by_number).ok_or_else(|| {
        let there = match names {
            [] => format!("a table without a header has columns 1 to {columns}"),
            names => format!("there are {}", list(names)),
        };
        Failure::Usage(format!("--label-column {label}: {at} has no such column; {there}"))
    })
}

fn list(names: &[String]) -> String {
    let more = if names.len() > LISTED { format!(", {} more", names.len() - LISTED) } else { String::new() };
    names.iter().take(LISTED).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str, wanted: usize, label: Option<&str>) -> Table {
        read(text, "x.csv", Some(wanted), label).unwrap_or_else(|e| panic!("{text:?}: {e}"))
    }

    fn error(text: &str, wanted: usize, label: Option<&str>) -> Failure {
        read(text, "x.csv", Some(wanted), label).expect_err(text)
    }

    #[test]
    fn numbers_are_read_with_every_separator_and_end_of_line() {
        for text in [
            "1,2.5\n-3e1,+.5\n",
            "1,2.5\r\n-3e1,.5",
            "1;2.5\n\n-30;0.5\n",
            "1\t2.5\n-30\t.5",
            "  1  2.5\n-30   0.5\n",
            "# by hand\n1, 2.5\n-30 ,0.5",
        ] {
            let read = table(text, 2, None);
            assert_eq!((read.values, read.labels), (vec![1.0, 2.5, -30.0, 0.5], None), "{text:?}");
        }
        assert_eq!(table("a,b\n\"1\",\"2\"\n", 2, None).values, [1.0, 2.0]);
        assert_eq!(table("7\n8\n", 1, None).values, [7.0, 8.0]);
        assert_eq!(table("a,b\nTrue,false\n", 2, None).values, [1.0, 0.0]);
    }

    #[test]
    fn a_header_is_a_line_without_numbers() {
        assert_eq!(table("a,\"b, c\"\n1,2\n", 2, None).said, "1 items of 2 numbers, with a header");
        assert_eq!(table("1,2\n3,4\n", 2, None).said, "2 items of 2 numbers, without a header");
        // as pandas writes a table without names, with the numbers of its rows and without them
        assert!(error("0,1,2\n5,6,7\n", 3, None).to_string().contains("may be an item or"));
        assert_eq!(table("0.0,1,2\n5,6,7\n", 3, None).rows, 2);
        let read = table(",0,1\n0,5,6\n1,7,8\n", 2, None);
        assert_eq!((read.values, read.said.contains("rows' numbers, left out")), (vec![5.0, 6.0, 7.0, 8.0], true));
        // a misprint does not make a header of an item
        assert!(error("1,2,3.O\n4,5,6\n", 3, None).to_string().contains("line 1, column 3 is '3.O'"));
    }

    #[test]
    fn a_column_of_labels_is_known_by_its_name_or_named() {
        for (text, label) in [
            ("a,Label,b\n1,x,2\n3,y,4\n", None),
            ("a,target,b\n1,x,2\n3,y,4\n", None),
            ("a,species,b\n1,x,2\n3,y,4\n", Some("species")),
            ("1,x,2\n3,y,4\n", Some("2")),
            ("a,b c,b\n1,x,2\n3,y,4\n", Some("2")),
        ] {
            let read = table(text, 2, label);
            assert_eq!((read.values, read.labels.unwrap()), (vec![1.0, 2.0, 3.0, 4.0], vec!["x".to_string(), "y".into()]), "{text:?}");
        }
        // needed as a number
        let read = table("a,class\n1,2\n", 2, None);
        assert_eq!((read.labels, read.said.contains("column 'class' among the numbers")), (None, true));
        assert_eq!(read_any("label\n3\n4\n").values, [3.0, 4.0]);
        assert_eq!(read_any("id,label\n3,8\n4,9\n").labels.unwrap(), ["8", "9"]);
        assert_eq!(read_any("1,2\n3,4\n").columns, 2);
    }

    fn read_any(text: &str) -> Table {
        read(text, "x", None, None).unwrap()
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        type Case<'a> = (&'a str, usize, Option<&'a str>, u8, &'a [&'a str]);
        let cases: [Case<'_>; 12] = [
            ("a,b\n1,2\n3,x y\n", 2, None, 1, &["x.csv: line 3, column 2 ('b') is 'x y', which is no number"]),
            ("1,2\n3,\n", 2, None, 1, &["line 2, column 2 is empty"]),
            ("1,2\nNaN,2\n", 2, None, 1, &["line 2, column 1 is 'NaN'", "no finite number"]),
            ("1,2\n3,-inf\n", 2, None, 1, &["line 2, column 2 is '-inf'"]),
            ("1,1e39\n", 2, None, 1, &["'1e39'", "finite"]),
            ("1,2\n\n# more\r\n\r\n3\n", 2, None, 1, &["line 5 has 1 columns, the first has 2"]),
            ("\n1,\"2\n\"\n3,x\n", 2, None, 1, &["line 4, column 2 is 'x'"]),
            ("1,2,3\n", 2, None, 1, &["3 columns: 3 of numbers, and an item of the model has 2", "--label-column"]),
            ("a,b,y,class\n1,2,3,4\n", 3, None, 1, &["4 columns ('a', 'b', 'y', 'class')", "--label-column"]),
            ("a,label\n1,2\n", 3, None, 1, &["1 of numbers besides the labels ('label')"]),
            ("a,b\n1,2\n", 1, Some("c"), 2, &["--label-column c", "there are 'a', 'b'"]),
            ("1,2\n", 1, Some("3"), 2, &["--label-column 3", "columns 1 to 2"]),
        ];
        for (text, wanted, label, code, words) in cases {
            let failure = error(text, wanted, label);
            assert_eq!(failure.exit_code(), code, "{failure}");
            words.iter().for_each(|word| assert!(failure.to_string().contains(word), "{failure}"));
        }
        assert!(error("", 1, None).to_string().contains("without a line") && error("a,b\n", 2, None).to_string().contains("no items"));
    }
}
