//! Folders of images: all of one kind, or a folder for each class.

use super::images::{FORMATS, Format, HEAD, format};
use crate::{Error, Result};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The images of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    /// Files by name.
    pub files: Vec<PathBuf>,
    /// The class of each file, if the folder has a folder for each class.
    pub labels: Option<Vec<usize>>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Files that are no images.
    pub others: Vec<PathBuf>,
}

/// Folders in folders, at most.
const DEPTH: usize = 16;

/// The images of a folder by name, known by what they begin with; where it has folders, those of each and of the folders in it, and
/// its place among their names as the class. Hidden files and folders are none of it.
///
/// [`Error::Input`] if images lie beside folders, whose class would be none, or if there are no images; [`Error::File`] names an image
/// of a format that is not read.
pub fn read(folder: &Path) -> Result<Folder> {
    let (folders, files) = entries(folder)?;
    let mut found = Folder::default();
    take(files, &mut found)?;
    if let (Some(first), Some(image)) = (folders.first(), found.files.first()) {
        return Err(Error::Input(format!(
            "{}: {} images, such as '{}', lie beside the folder '{}'; a folder has either images or a folder for each class",
            folder.display(),
            found.files.len(),
            name(image),
            name(first)
        )));
    }
    for (class, folder) in folders.iter().enumerate() {
        let before = found.files.len();
        below(folder, &mut found, DEPTH)?;
        let images = found.files.len() - before;
        found.labels.get_or_insert_default().extend(vec![class; images]);
        found.classes.push(name(folder));
    }
    match found.files.is_empty() {
        true => Err(Error::Input(format!("{}: no images; {FORMATS} are read", folder.display()))),
        false => Ok(found),
    }
}

/// The images of a folder and of the folders in it.
fn below(folder: &Path, found: &mut Folder, depth: usize) -> Result<()> {
    if depth == 0 {
        return Err(Error::Input(format!("{}: more than {DEPTH} folders in one another, or a link to one above it", folder.display())));
    }
    let (folders, files) = entries(folder)?;
    take(files, found)?;
    folders.iter().try_for_each(|folder| below(folder, found, depth - 1))
}

/// Sorts files into images and others.
fn take(files: Vec<PathBuf>, found: &mut Folder) -> Result<()> {
    for file in files {
        match format(&head(&file)?) {
            Some(Format::Known(_)) => found.files.push(file),
            Some(Format::Other(what)) => {
                return Err(Error::File(format!("{}: {what}; {FORMATS} are read: convert it, or move it away", file.display())));
            }
            None if is_named_so(&file) => {
                return Err(Error::File(format!("{}: not the image that its name says; mend it, or move it away", file.display())));
            }
            None => found.others.push(file),
        }
    }
    Ok(())
}

fn head(file: &Path) -> Result<Vec<u8>> {
    let failed = |e| Error::File(format!("cannot read {}: {e}", file.display()));
    let mut head = Vec::new();
    fs::File::open(file).and_then(|opened| opened.take(HEAD as u64).read_to_end(&mut head)).map_err(failed)?;
    Ok(head)
}

/// Whether a file's name is that of an image.
fn is_named_so(file: &Path) -> bool {
    let ending = file.extension().map(|ending| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ["png", "jpg", "jpeg", "webp", "bmp"].iter().any(|known| ending == *known))
}

/// Folders and files, by name.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let failed = |e: std::io::Error| Error::File(format!("cannot read the folder {}: {e}", folder.display()));
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if name(&path).starts_with('.') {
            continue;
        }
        let metadata = fs::metadata(&path).map_err(|e| Error::File(format!("cannot read {}: {e}", path.display())))?;
        if metadata.is_dir() {
            folders.push(path);
        } else if metadata.is_file() {
            files.push(path);
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest";

    /// A folder with these files, read, and gone.
    fn with(case: &str, files: &[(&str, &[u8])]) -> Result<Folder> {
        let root = std::env::temp_dir().join(format!("trishade-folder-{case}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (file, bytes) in files {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), bytes).unwrap();
        }
        let found = read(&root);
        fs::remove_dir_all(&root).unwrap();
        found
    }

    fn names(files: &[PathBuf]) -> Vec<String> {
        files.iter().map(|file| name(file)).collect()
    }

    #[test]
    fn images_are_known_by_their_first_bytes_and_hidden_files_are_none() {
        let files = [("b.dat", PNG), ("a.png", PNG), ("notes.txt", b"x"), (".thumbnails/c.png", PNG), (".d.png", PNG)];
        let found = with("plain", &files).unwrap();
        assert_eq!((names(&found.files), found.labels, found.classes.len()), (vec!["a.png".into(), "b.dat".into()], None, 0));
        assert_eq!(names(&found.others), ["notes.txt"]);
    }

    #[test]
    fn a_folder_for_each_class_and_folders_in_it() {
        let files = [("cat/in/x.png", PNG), ("cat/y.png", PNG), ("dog/x.png", PNG), ("bird/list.txt", b"x"), ("README", b"x")];
        let found = with("classes", &files).unwrap();
        assert_eq!(found.classes, ["bird", "cat", "dog"]);
        assert_eq!((names(&found.files), found.labels.unwrap()), (vec!["y.png".into(), "x.png".into(), "x.png".into()], vec![1, 1, 2]));
        assert_eq!(names(&found.others), ["README", "list.txt"]);
    }

    #[test]
    fn no_image_is_dropped() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a [u8])], &'a [&'a str]);
        let cases: [Case<'_>; 4] = [
            ("mixture", &[("1.png", PNG), ("2.png", PNG), ("thumbnails/1.png", PNG)], &["2 images", "'1.png'", "'thumbnails'"]),
            ("other", &[("1.png", PNG), ("2.gif", b"GIF89a")], &["2.gif", "GIF"]),
            ("false", &[("1.png", PNG), ("2.jpg", b"<html>")], &["2.jpg", "its name"]),
            ("none", &[("1.txt", b"x")], &["no images"]),
        ];
        for (case, files, words) in cases {
            let error = with(case, files).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }
}
