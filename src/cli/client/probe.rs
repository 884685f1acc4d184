//! Entrances of the fuzz targets.

pub(crate) use super::{
    credentials::probe::write_dotenv,
    import::probe::{dotenv, import},
};
