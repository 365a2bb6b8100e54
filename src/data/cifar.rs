//! The binary files of CIFAR-10 and CIFAR-100: records of a class, or two, and 3 x 32 x 32 bytes.

use super::batch::Batch;
use crate::{Error, Result};

const EXTENTS: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// The coarse classes of CIFAR-100.
const COARSE: u8 = 20;

/// All records. `classes` is 1 for CIFAR-10 and 2 for CIFAR-100, whose second, fine class is taken.
pub fn read(bytes: &[u8], classes: usize, name: &str) -> Result<Batch> {
    let record = classes + PIXELS;
    if !(1..=2).contains(&classes) || bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let what = format!("{} bytes are no whole number of records of {record}", bytes.len());
        return Err(Error::File(format!("{name}: not a CIFAR file: {what}")));
    }
    let mut batch = Batch { extents: EXTENTS, ..Batch::default() };
    let most = fine(classes);
    for (i, record) in bytes.chunks(record).enumerate() {
        let (head, pixels) = record.split_at(classes);
        let class = usize::from(head[classes - 1]);
        if class >= most {
            return Err(Error::File(format!("{name}: record {i} has the class {class}; there are {most}")));
        }
        batch.labels.push(class);
        batch.pixels.extend(pixels);
    }
    Ok(batch)
}

/// Class bytes of a record, if all of the file are records: 1 as in CIFAR-10, or 2 as in CIFAR-100.
pub fn classes(bytes: &[u8]) -> Option<usize> {
    let records = |classes: &usize| {
        let fits = |head: &[u8]| usize::from(head[classes - 1]) < fine(*classes) && (*classes == 1 || head[0] < COARSE);
        let record = classes + PIXELS;
        !bytes.is_empty() && bytes.len().is_multiple_of(record) && bytes.chunks(record).all(fits)
    };
    [1, 2].into_iter().find(records)
}

/// Classes that there are, of records with so many class bytes.
fn fine(classes: usize) -> usize {
    if classes == 1 { 10 } else { 100 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_classes_and_pixels() {
        let record = |head: &[u8], pixel: u8| [head, &[pixel; PIXELS]].concat();
        let ten = read(&[record(&[7], 1), record(&[3], 2)].concat(), 1, "x").unwrap();
        assert_eq!((ten.labels, ten.pixels.len(), ten.pixels[PIXELS]), (vec![7, 3], 2 * PIXELS, 2));
        assert_eq!(read(&record(&[7, 42], 1), 2, "x").unwrap().labels, [42]);
        assert!(read(&record(&[11], 1), 1, "x").unwrap_err().to_string().contains("class 11"));
        assert!(read(&record(&[1], 1)[1..], 1, "x").is_err() && read(&[], 1, "x").is_err());
        let known = [&[9][..], &[10], &[19, 99], &[20, 99], &[19, 100]].map(|head| classes(&record(head, 7)));
        assert_eq!(known, [Some(1), None, Some(2), None, None]);
        assert_eq!((classes(&[]), classes(&[0; PIXELS])), (None, None));
    }
}
