//! Photographs as inputs: PNG, JPEG, WebP and BMP, turned upright, resized, cropped and normalised as a network expects.

use crate::{Error, Result};
use image::{
    DynamicImage, ExtendedColorType, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage, imageops::FilterType,
    metadata::Orientation,
};
use std::io::Cursor;

/// How pixels become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preprocess {
    /// RGB, or grey, from 0 to 255; the shorter side becomes the network's.
    Raw,
    /// RGB, or grey, divided by 255; the same crop.
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

/// The formats that are read.
pub const FORMATS: &str = "PNG, JPEG, WebP and BMP";

/// Bytes at the beginning of a file that tell its format.
pub const HEAD: usize = 32;

/// The format that a file begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One that is read.
    Known(Encoding),
    /// An image that is not read, and what it is.
    Other(&'static str),
}

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(ImageFormat);

/// The format of an image from the first [`HEAD`] bytes of its file; none of what is no image.
pub fn format(head: &[u8]) -> Option<Format> {
    // the magic number of a BMP is two letters that a text may begin with, the size of its second header is none of a text
    let bitmap = || matches!(head, [b'B', b'M', ..]) && matches!(head.get(14..18), Some([12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]));
    match image::guess_format(head).ok()? {
        format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP) => Some(Format::Known(Encoding(format))),
        ImageFormat::Bmp => bitmap().then_some(Format::Known(Encoding(ImageFormat::Bmp))),
        ImageFormat::Gif => Some(Format::Other("a GIF image")),
        ImageFormat::Tiff => Some(Format::Other("a TIFF image")),
        ImageFormat::Avif => Some(Format::Other("an AVIF image")),
        ImageFormat::OpenExr => Some(Format::Other("an OpenEXR image")),
        _ => None,
    }
}

/// One image as an input of extents (C, H, W), or (H, W, C), with one channel or three. Colour becomes grey by Rec. 601, as in PIL.
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
    let pixels = rgb(decode(bytes, name)?);
    if channels == 1 {
        let unit = match preprocess {
            Preprocess::Raw => 1.0,
            Preprocess::Unit => 255.0,
            _ => return Err(Error::Input(format!("{name}: the network takes grey images; their numbers are those of `unit` or `raw`"))),
        };
        let image = fitted(grey(&pixels).into(), height, width, preprocess);
        return Ok(image.to_luma8().pixels().map(|pixel| f32::from(pixel[0]) / unit).collect());
    }
    let pixels = fitted(pixels.into(), height, width, preprocess).into_rgb8();
    let plane = |channel: usize| {
        let value = move |v: u8| match preprocess {
            Preprocess::Raw => f32::from(v),
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
    Error::File(format!("{name}: a damaged image, or one that cannot be read: {error}"))
}

/// A file's decoder, and how the image must be turned.
fn decoder<'a>(bytes: &'a [u8], name: &str) -> Result<(impl ImageDecoder + 'a, Orientation)> {
    let bad = |e: image::ImageError| unreadable(name, &e);
    let format = match format(&bytes[..bytes.len().min(HEAD)]) {
        Some(Format::Known(Encoding(format))) => format,
        Some(Format::Other(what)) => return Err(Error::File(format!("{name}: {what}; {FORMATS} are read"))),
        None => return Err(Error::File(format!("{name}: not an image of the formats that are read: {FORMATS}"))),
    };
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height, limits.max_alloc) = (Some(LARGEST), Some(LARGEST), Some(MEMORY));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(bad)?;
    if decoder.total_bytes() > MEMORY {
        return Err(Error::File(format!("{name}: an image of {} bytes in memory; {MEMORY} are the most", decoder.total_bytes())));
    }
    if decoder.original_color_type() == ExtendedColorType::L16 {
        // PIL cuts them off at 255, others divide by 257
        let what = "a grey image of 16 bits, of which no two programs make the same numbers; save it with 8, or as an array";
        return Err(Error::File(format!("{name}: {what}")));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder, orientation))
}

/// Red, green and blue as PIL's `convert("RGB")` has them: without alpha, of 16 bits the upper eight.
fn rgb(image: DynamicImage) -> RgbImage {
    let upper = |width, height, rgb: &dyn Fn(u32, u32) -> [u16; 3]| {
        RgbImage::from_fn(width, height, |x, y| image::Rgb(rgb(x, y).map(|v| (v >> 8) as u8)))
    };
    match image {
        DynamicImage::ImageRgb16(image) => upper(image.width(), image.height(), &|x, y| image.get_pixel(x, y).0),
        DynamicImage::ImageRgba16(image) => upper(image.width(), image.height(), &|x, y| {
            let [r, g, b, _] = image.get_pixel(x, y).0;
            [r, g, b]
        }),
        DynamicImage::ImageLumaA16(image) => upper(image.width(), image.height(), &|x, y| [image.get_pixel(x, y).0[0]; 3]),
        other => other.into_rgb8(),
    }
}

/// The luma of Rec. 601 as PIL's `convert("L")` rounds it: `0.299 R + 0.587 G + 0.114 B` in 16 fraction bits.
fn grey(image: &RgbImage) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| {
        let [r, g, b] = image.get_pixel(x, y).0.map(u32::from);
        image::Luma([((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as u8])
    })
}

/// The middle of the image at the network's size.
fn fitted(image: DynamicImage, height: u32, width: u32, preprocess: Preprocess) -> DynamicImage {
    if (image.height(), image.width()) == (height, width) {
        return image;
    }
    let margin = if matches!(preprocess, Preprocess::Raw | Preprocess::Unit) { 1.0 } else { 256.0 / 224.0 };
    let scale = (f64::from(height) / f64::from(image.height())).max(f64::from(width) / f64::from(image.width())) * margin;
    // cropped first: a narrow image would become a huge one
    let part = |wanted: u32, there: u32| ((f64::from(wanted) / scale).round() as u32).clamp(1, there);
    let (h, w) = (part(height, image.height()), part(width, image.width()));
    let middle = image.crop_imm((image.width() - w) / 2, (image.height() - h) / 2, w, h);
    middle.resize_exact(width, height, FilterType::Triangle)
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
        for (bytes, word) in
            [(&b"GIF89a"[..], "GIF"), (b"II*\0", "TIFF"), (b"plain text", "PNG, JPEG, WebP and BMP"), (b"", "not an image")]
        {
            assert!(input(bytes, "x", &[3, 4, 4], Preprocess::Unit).unwrap_err().to_string().contains(word));
        }
    }

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp] {
            let bytes = file(4, 4, format);
            assert_eq!(super::format(&bytes[..HEAD]), Some(Format::Known(Encoding(format))));
            let x = input(&bytes, "x", &[3, 4, 4], Preprocess::Raw).unwrap();
            let off = x.iter().zip([255.0, 255.0, 0.0, 0.0]).map(|(v, wanted)| (v - wanted).abs()).fold(0.0, f32::max);
            assert!(off <= if format == ImageFormat::Jpeg { 4.0 } else { 0.0 }, "{format:?}: {x:?}");
        }
        // the head of a table, and a portable bitmap's two letters
        assert_eq!(
            (super::format(b"BMI,age,sex,label\n1,2,3,4\n"), super::format(b"P1,P2\n1,2\n"), super::format(b"")),
            (None, None, None)
        );
    }

    /// Grey as PIL 13.0 gives it: `Image.fromarray(x).convert("L")`.
    #[test]
    fn colour_becomes_grey_by_rec_601() {
        let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [1, 2, 3], [200, 100, 50], [17, 211, 94], [0, 1, 0]];
        let image = RgbImage::from_fn(8, 1, |x, _| Rgb(colours[x as usize]));
        assert_eq!(grey(&image).into_raw(), [76, 150, 29, 255, 2, 124, 140, 1]);
        let levels = GrayImage::from_fn(256, 1, |x, _| image::Luma([x as u8]));
        assert_eq!(grey(&rgb(DynamicImage::ImageLuma8(levels.clone()))), levels, "grey stays as it is");
    }

    /// As PIL's `convert("RGB")`: alpha is dropped, of 16 bits the upper eight are taken; grey of 16 bits is refused.
    #[test]
    fn unusual_pixels_are_those_of_pil_or_refused() {
        let png = |image: DynamicImage| {
            let mut bytes = Cursor::new(Vec::new());
            image.write_to(&mut bytes, ImageFormat::Png).unwrap();
            input(&bytes.into_inner(), "x", &[3, 1, 2], Preprocess::Raw)
        };
        let rgba = image::RgbaImage::from_raw(2, 1, vec![10, 20, 30, 0, 40, 50, 60, 128]).unwrap();
        assert_eq!(png(rgba.into()).unwrap(), [10.0, 40.0, 20.0, 50.0, 30.0, 60.0]);
        let wide = image::ImageBuffer::from_raw(2, 1, vec![0x00ffu16, 0x0100, 0xffff, 0x1234, 0x80ff, 0x7f00]).unwrap();
        assert_eq!(png(DynamicImage::ImageRgb16(wide)).unwrap(), [0.0, 0x12 as f32, 1.0, 128.0, 255.0, 127.0]);
        let wide = image::ImageBuffer::from_raw(2, 1, vec![0x12ffu16, 0, 0xfe80, 0xffff]).unwrap();
        assert_eq!(png(DynamicImage::ImageLumaA16(wide)).unwrap(), [0x12 as f32, 254.0].repeat(3));
        let wide = image::ImageBuffer::from_raw(2, 1, vec![0u16, 1000]).unwrap();
        assert!(png(DynamicImage::ImageLuma16(wide)).unwrap_err().to_string().contains("16 bits"));
    }
}
