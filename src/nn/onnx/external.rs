//! Data of tensors in files beside a model: plain files that lie where the model lies, and no others.

use super::schema::TensorProto;
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

/// Where a model's data files may lie: beside its path, or, of a cache that keeps links to its files, where the model itself lies.
pub struct Folder {
    beside: PathBuf,
    real: Vec<PathBuf>,
}

impl Folder {
    /// The folder of a model.
    pub fn of(model: &Path) -> Self {
        let parent = |path: &Path| path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let beside = parent(model);
        let real = [beside.canonicalize().ok(), model.canonicalize().ok().map(|model| parent(&model))];
        Self { beside, real: real.into_iter().flatten().collect() }
    }

    /// So many bytes for a tensor, whose entries say where they lie.
    pub fn read(&self, proto: &TensorProto, wanted: u64) -> Result<Vec<u8>, String> {
        let number = |key: &str| {
            value(proto, key).map(|text| text.parse::<u64>().map_err(|_| format!("its {key} '{text}' is no number"))).transpose()
        };
        let (mut file, name) = self.open(location(proto)?)?;
        let failed = |e: std::io::Error| format!("its data file {name} cannot be read: {e}");
        let there = file.metadata().map_err(failed)?.len();
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(wanted);
        if length != wanted || offset.checked_add(length).is_none_or(|end| end > there) {
            return Err(format!("it takes {wanted} bytes, its data file {name} gives {length} of {there} from {offset}"));
        }
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(wanted).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(format!("its data file {name} ends while it is read")) }
    }

    /// The plain file of a location, and its name for errors.
    fn open(&self, location: &str) -> Result<(File, String), String> {
        let inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        if location.is_empty() || !inside(Path::new(location)) {
            return Err(format!("its data file '{location}' is not inside the model's folder"));
        }
        let path = self.beside.join(location);
        let name = path.display().to_string();
        let failed = |e: std::io::Error| format!("its data file {name} cannot be read: {e}");
        let real = path.canonicalize().map_err(failed)?;
        if !self.real.iter().any(|folder| real.starts_with(folder)) {
            return Err(format!(
                "its data file {name} is a link out of the model's folder, to {}; put the file itself there",
                real.display()
            ));
        }
        // opening a pipe would wait for its writer
        if !real.metadata().map_err(failed)?.is_file() {
            return Err(format!("its data file {name} is no plain file"));
        }
        let file = File::open(&real).map_err(failed)?;
        match file.metadata().map_err(failed)?.is_file() {
            true => Ok((file, name)),
            false => Err(format!("its data file {name} is no plain file")),
        }
    }
}

fn value<'a>(proto: &'a TensorProto, key: &str) -> Option<&'a str> {
    proto.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

/// The file that a tensor names.
pub fn location(proto: &TensorProto) -> Result<&str, String> {
    value(proto, "location").ok_or_else(|| "its data lies in another file, which it does not name".into())
}
