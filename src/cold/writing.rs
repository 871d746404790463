//! What lets clients write, for each site that does: opened before the workers start.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{AccessTexts, Config, IdempotencyConfig, StartError};
use crate::handler::files::Site;
use crate::handler::resources::{IdempotencySettings, Resources, WriteSettings};

/// Opens the resources of all sites, in their order.
pub(super) fn open(
    config: &Config,
    sites: &[Arc<Site>],
) -> Result<Vec<Option<Resources>>, StartError> {
    let all = config.access.iter().zip(sites).enumerate();
    let open = |(number, (texts, site)): (usize, (&AccessTexts, &Arc<Site>))| {
        if texts.writing.writable.is_empty() {
            return Ok(None);
        }
        if let Some(kept) = &config.writing.idempotency {
            // What cannot be made cannot be opened either, which is told then.
            let _ = std::fs::create_dir_all(directory_of(kept, number));
        }
        let resources = Resources::open(settings(config, texts, number)).map_err(|fault| {
            StartError::machine(
                format!("answers for Idempotency-Key cannot be kept: {}", fault.0),
                "name a directory of this server alone that it may write to: --state-dir DIR",
            )
        })?;
        resources.sweep(site);
        Ok(Some(resources))
    };
    all.map(open).collect()
}

fn settings(config: &Config, texts: &AccessTexts, number: usize) -> WriteSettings {
    let writing = &texts.writing;
    let defaults = IdempotencySettings::default();
    let idempotency = match &config.writing.idempotency {
        None => defaults,
        Some(kept) => IdempotencySettings {
            ttl: kept.time,
            bytes_max: kept.bytes_max,
            directory: Some(directory_of(kept, number)),
        },
    };
    WriteSettings {
        require_preconditions: writing.requires_preconditions,
        body_bytes_max: writing.body_bytes_max,
        patch_bytes_max: writing.patch_bytes_max,
        idempotency,
        ..WriteSettings::default()
    }
}

/// Each site has a database of its own.
fn directory_of(kept: &IdempotencyConfig, site: usize) -> PathBuf {
    match site {
        0 => kept.directory.clone(),
        _ => kept.directory.join(format!("site-{site}")),
    }
}
