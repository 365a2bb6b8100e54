//! Photographs as inputs: PNG and JPEG, turned upright, resized, cropped and normalised as a network expects.

use crate::{Error, Result};
use image::{DynamicImage, ImageDecoder, ImageReader, Limits, imageops::FilterType, metadata::Orientation};
use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

/// How pixels become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preprocess {
    /// RGB, or grey, divided by 255; the shorter side becomes the network's.
    Unit,
    /// RGB divided by 255, less (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225); the network's square is seven eighths
    /// of the shorter side.
    Imagenet,
    /// BGR from 0 to 255, less (103.939, 116.779, 123.68); the same crop.
    Caffe,
}

/// No image is wider or higher.
const LARGEST: u32 = 1 << 14;

/// Bytes that decoding may take.
const MEMORY: u64 = 1 << 30;

/// One image as an input of extents (C, H, W), or (H, W, C), with one channel or three.
pub fn input(bytes: &[u8], name: &str, extents: &[usize], preprocess: Preprocess) -> Result<Vec<f32>> {
    let (first, channels, height, width) = match *extents {
        [channels @ (1 | 3), height, width] => (true, channels, height, width),
        [height, width, channels @ (1 | 3)] => (false, channels, height, width),
        _ => return Err(unlike_images(name, extents)),
    };
    if height.max(width) > LARGEST as usize {
        return Err(unlike_images(name, extents));
    }
    let planes = planes(bytes, name, channels, [height as u32, width as u32], preprocess)?;
    let pixels = height * width;
    Ok(if first { planes } else { (0..planes.len()).map(|i| planes[i % channels * pixels + i / channels]).collect() })
}

fn unlike_images(name: &str, extents: &[usize]) -> Error {
    Error::Input(format!("{name}: the network takes inputs {extents:?}; images become (1, H, W), (3, H, W), (H, W, 1) or (H, W, 3)"))
}

/// Height and width of an upright image.
pub fn size(bytes: &[u8], name: &str) -> Result<[usize; 2]> {
    let (decoder, orientation) = decoder(bytes, name)?;
    let (width, height) = decoder.dimensions();
    let turned = [Orientation::Rotate90, Orientation::Rotate270, Orientation::Rotate90FlipH, Orientation::Rotate270FlipH];
    Ok(if turned.contains(&orientation) { [width as usize, height as usize] } else { [height as usize, width as usize] })
}

/// The numbers of an image, one channel after the other.
fn planes(bytes: &[u8], name: &str, channels: usize, [height, width]: [u32; 2], preprocess: Preprocess) -> Result<Vec<f32>> {
    let image = fitted(decode(bytes, name)?, height, width, preprocess);
    if channels == 1 {
        if preprocess != Preprocess::Unit {
            return Err(Error::Input(format!("{name}: the network takes grey images; their numbers are those of `unit`")));
        }
        return Ok(image.to_luma8().pixels().map(|pixel| f32::from(pixel[0]) / 255.0).collect());
    }
    let pixels = image.to_rgb8();
    let plane = |channel: usize| {
        let value = move |v: u8| match preprocess {
            Preprocess::Unit => f32::from(v) / 255.0,
            Preprocess::Imagenet => (f32::from(v) / 255.0 - [0.485, 0.456, 0.406][channel]) / [0.229, 0.224, 0.225][channel],
            Preprocess::Caffe => f32::from(v) - [123.68, 116.779, 103.939][channel],
        };
        pixels.pixels().map(move |pixel| value(pixel[channel]))
    };
    let order = if preprocess == Preprocess::Caffe { [2, 1, 0] } else { [0, 1, 2] };
    Ok(order.into_iter().flat_map(plane).collect())
}

/// The upright image; its size is checked before memory is taken.
fn decode(bytes: &[u8], name: &str) -> Result<DynamicImage> {
    let (decoder, orientation) = decoder(bytes, name)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| unreadable(name, &e))?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn unreadable(name: &str, error: &image::ImageError) -> Error {
    Error::File(format!("{name}: not a PNG or JPEG image that can be read: {error}"))
}

/// A file's decoder, and how the image must be turned.
fn decoder<'a>(bytes: &'a [u8], name: &str) -> Result<(impl ImageDecoder + 'a, Orientation)> {
    let bad = |e: image::ImageError| unreadable(name, &e);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(LARGEST), Some(LARGEST), Some(MEMORY));
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| bad(e.into()))?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(bad)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder, orientation))
}

/// The middle of the image at the network's size.
fn fitted(image: DynamicImage, height: u32, width: u32, preprocess: Preprocess) -> DynamicImage {
    if (image.height(), image.width()) == (height, width) {
        return image;
    }
    let margin = if preprocess == Preprocess::Unit { 1.0 } else { 256.0 / 224.0 };
    let scale = (f64::from(height) / f64::from(image.height())).max(f64::from(width) / f64::from(image.width())) * margin;
    // cropped first: a narrow image would become a huge one
    let part = |wanted: u32, there: u32| ((f64::from(wanted) / scale).round() as u32).clamp(1, there);
    let (h, w) = (part(height, image.height()), part(width, image.width()));
    let middle = image.crop_imm((image.width() - w) / 2, (image.height() - h) / 2, w, h);
    middle.resize_exact(width, height, FilterType::Triangle)
}

/// The images of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folder {
    /// Files by name.
    pub files: Vec<PathBuf>,
    /// The class of each file, if the folder has a folder for each class.
    pub labels: Option<Vec<usize>>,
    /// Names of the classes.
    pub classes: Vec<String>,
}

/// The images of a folder by name; where it has folders, those of each, and its place among their names as the class.
pub fn in_folder(folder: &Path) -> Result<Folder> {
    let mut folders: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    let mut images = Folder::default();
    if folders.is_empty() {
        images.files = files(folder)?;
    }
    for (class, folder) in folders.iter().enumerate() {
        let files = files(folder)?;
        images.labels.get_or_insert_default().extend(vec![class; files.len()]);
        images.files.extend(files);
        images.classes.push(folder.file_name().expect("an entry of a folder has a name").to_string_lossy().into_owned());
    }
    match images.files.is_empty() {
        true => Err(Error::Input(format!("{}: no PNG or JPEG images", folder.display()))),
        false => Ok(images),
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| path.is_file() && is(path)).collect();
    files.sort();
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: std::io::Error| Error::File(format!("cannot read the folder {}: {e}", folder.display()));
    std::fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// Whether a file's name is that of an image.
pub fn is(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ["png", "jpg", "jpeg"].iter().any(|known| ending == *known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgb, RgbImage};

    fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let image = RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn channels_may_be_last_and_the_size_is_known_beforehand() {
        let png = file(6, 4, ImageFormat::Png);
        assert_eq!(size(&png, "x").unwrap(), [4, 6]);
        assert!(size(b"\x89PNG", "x").is_err());
        let (first, last) =
            (input(&png, "x", &[3, 4, 6], Preprocess::Unit).unwrap(), input(&png, "x", &[4, 6, 3], Preprocess::Unit).unwrap());
        assert!((0..72).all(|i| last[i] == first[i % 3 * 24 + i / 3]));
        assert_eq!((&last[..3], &last[9..12]), (&[1.0, 0.0, 0.0][..], &[0.0, 0.0, 1.0][..]));
        assert!(input(&png, "x", &[4, 6, 2], Preprocess::Unit).is_err());
    }

    #[test]
    fn pixels_become_the_numbers_of_each_convention() {
        let png = file(4, 4, ImageFormat::Png);
        let x = input(&png, "x", &[3, 4, 4], Preprocess::Unit).unwrap();
        assert_eq!((x[0], x[3], x[16], x[32], x[35]), (1.0, 0.0, 0.0, 0.0, 1.0));
        let x = input(&png, "x", &[3, 4, 4], Preprocess::Imagenet).unwrap();
        assert!((x[0] - (1.0 - 0.485) / 0.229).abs() < 1e-6 && (x[32] + 0.406 / 0.225).abs() < 1e-6);
        // blue first
        let x = input(&png, "x", &[3, 4, 4], Preprocess::Caffe).unwrap();
        assert!((x[0] + 103.939).abs() < 1e-4 && (x[3] - 255.0 + 103.939).abs() < 1e-4 && (x[32] - 255.0 + 123.68).abs() < 1e-4);
        let grey = input(&png, "x", &[1, 4, 4], Preprocess::Unit).unwrap();
        assert_eq!(grey.len(), 16);
        assert!(input(&png, "x", &[1, 4, 4], Preprocess::Caffe).is_err() && input(&png, "x", &[2, 4, 4], Preprocess::Unit).is_err());
    }

    #[test]
    fn images_are_resized_and_cropped_in_the_middle() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            for (width, height) in [(64, 40), (40, 64), (7, 9), (1, 1), (1, 5000)] {
                for preprocess in [Preprocess::Unit, Preprocess::Imagenet] {
                    assert_eq!(input(&file(width, height, format), "x", &[3, 16, 12], preprocess).unwrap().len(), 3 * 16 * 12);
                }
            }
        }
        let x = input(&file(64, 32, ImageFormat::Png), "x", &[3, 8, 8], Preprocess::Unit).unwrap();
        assert!(x[0] > 0.9 && x[7] < 0.1, "left red, right blue");
    }

    #[test]
    fn damaged_files_are_errors() {
        let png = file(16, 16, ImageFormat::Png);
        for end in (0..png.len() - 12).step_by(7) {
            assert!(input(&png[..end], "x.png", &[3, 4, 4], Preprocess::Unit).unwrap_err().to_string().starts_with("x.png: "));
        }
        // a header that claims more pixels than there may be
        let mut huge = png.clone();
        huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        assert!(input(&huge, "x", &[3, 4, 4], Preprocess::Unit).is_err());
        assert!(input(b"GIF89a", "x", &[3, 4, 4], Preprocess::Unit).is_err());
    }
}
