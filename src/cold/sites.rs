//! The sites at start, and what becomes of them while they are served: roots that are swapped for
//! a new deploy, files with rules that are edited, a file that switches maintenance on.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificates::Notes;
use super::watch::{Change, Follow, Watcher};
use crate::base::limits::{COMPRESS_DIR_BYTES_MAX, RULE_FILE_BYTES_MAX};
use crate::compress::Kept;
use crate::config::{Config, StartError};
use crate::engine::operation::SharedFile;
use crate::engine::{Links, find};
use crate::handler::files::{MountPoint, Site, TreeChange, open_root};
use crate::route::rule_files::{HEADERS, REDIRECTS};
use crate::route::{Complaint, HostName, Hosts, Rules, SiteSettings};
use crate::watch::Watch;

/// The sites, and the hosts that they answer for.
pub(super) struct Opened {
    pub(super) hosts: Arc<Hosts>,
    pub(super) sites: Vec<Arc<Site>>,
}

/// Opens all sites of a configuration. From now on the watcher tells them of changes.
pub(super) fn open(
    config: &Config,
    engine: &str,
    watch: &Watch,
    watcher: &mut Watcher,
    notes: &mut Notes,
) -> Result<Opened, StartError> {
    let mut sites = Vec::new();
    let mut kept = HashMap::new();
    for (id, settings) in config.sites.iter().enumerate() {
        let Some(root) = &settings.root else {
            sites.push(Arc::new(Site::welcome(engine)));
            continue;
        };
        let opened = Site::open(id as u16, settings.clone(), watch).map_err(|error| {
            StartError::machine(
                format!("the directory {} cannot be opened: {error}", root.display()),
                "let the user that runs downpour read and enter it and what is mounted in it",
            )
        })?;
        let site = Arc::new(match &settings.representations.compress_dir {
            Some(directory) => opened.keeping(keep(directory, &mut kept)?),
            None => opened,
        });
        let complaints = read_rules(&site);
        notes.warnings.extend(complaints);
        if switch_of(settings).is_some_and(Path::exists) {
            site.change(TreeChange {
                in_maintenance: Some(true),
                ..TreeChange::default()
            });
        }
        follow(&site, watch, watcher);
        sites.push(site);
    }
    Ok(Opened {
        hosts: Arc::new(hosts(config)?),
        sites,
    })
}

fn hosts(config: &Config) -> Result<Hosts, StartError> {
    let sites = config.sites.iter().enumerate();
    let named = sites.map(|(position, site)| {
        let names = site.names.iter().map(|name| HostName::parse(name));
        let names: Result<Vec<HostName>, String> = names.collect();
        names.map(|names| (names, position))
    });
    let named: Result<Vec<_>, String> = named.collect();
    let hosts = named.and_then(|named| Hosts::new(named, config.default_site));
    hosts.map_err(|why| StartError::usage("the names of the sites do not fit together", why))
}

/// The directory of compressed forms; several sites may share one.
fn keep(
    directory: &Path,
    known: &mut HashMap<PathBuf, Arc<Kept>>,
) -> Result<Arc<Kept>, StartError> {
    if let Some(kept) = known.get(directory) {
        return Ok(Arc::clone(kept));
    }
    let kept = Kept::open(directory, COMPRESS_DIR_BYTES_MAX).map_err(|error| {
        StartError::machine(
            format!(
                "{} cannot hold compressed forms: {error}",
                directory.display()
            ),
            "name a directory that the user that runs downpour alone may write to",
        )
    })?;
    let kept = Arc::new(kept);
    known.insert(directory.to_owned(), Arc::clone(&kept));
    Ok(kept)
}

/// Lets the watcher tell a site of what happens to its roots and files.
fn follow(site: &Arc<Site>, watch: &Watch, watcher: &mut Watcher) {
    let settings = site.settings();
    for (position, mount) in site.mounts().into_iter().enumerate() {
        let is_root = mount.prefix.is_empty();
        let path = settings.root.iter().filter(|_| is_root).cloned();
        let mounted = settings.mounts.iter();
        let mounted = mounted.filter(|known| known.prefix.as_bytes() == &mount.prefix[..]);
        let path = path.chain(mounted.map(|known| known.root.clone())).next();
        let files = match is_root && settings.reads_rule_files {
            true => [HEADERS, REDIRECTS].map(c_string).to_vec(),
            false => Vec::new(),
        };
        let (changed, watch) = (Arc::clone(site), watch.clone());
        watcher.follow(Follow {
            path: path.expect("each mount point was opened by a path"),
            root: mount.root,
            files,
            on_change: Box::new(move |change| on_change(&changed, position, change, &watch)),
        });
    }
    if let Some(file) = switch_of(settings) {
        follow_switch(site, file, watcher);
    }
}

fn on_change(site: &Site, position: usize, change: Change, watch: &Watch) {
    if let Change::Root(root) = change {
        let mut mounts = site.mounts();
        let old = mounts[position].clone();
        mounts[position] = MountPoint::new(&old.prefix, root, watch);
        site.change(TreeChange {
            mounts: Some(mounts),
            ..TreeChange::default()
        });
        watch.retire(old.watched);
        log::info!("another directory is served now, behind the same path");
    }
    let complaints = read_rules(site);
    complaints
        .iter()
        .for_each(|complaint| log::warn!("{complaint}"));
}

/// Puts the rules of the files at a site's root in place; returns what is wrong with them.
fn read_rules(site: &Site) -> Vec<String> {
    let settings = site.settings();
    if !settings.reads_rule_files {
        return Vec::new();
    }
    let Some(root) = site.mounts().pop() else {
        return Vec::new();
    };
    let mut complaints = Vec::new();
    let mut read = |name: &str| {
        read_small(&root.root, name).unwrap_or_else(|error| {
            complaints.push(format!("{name} cannot be read, and is not obeyed: {error}"));
            None
        })
    };
    let (headers, redirects) = (read(HEADERS), read(REDIRECTS));
    let (rules, further) = settings
        .rules
        .with_files(headers.as_deref(), redirects.as_deref());
    complaints.extend(further.iter().map(Complaint::to_string));
    set_rules(site, rules);
    complaints
}

fn set_rules(site: &Site, rules: Rules) {
    site.change(TreeChange {
        rules: Some(rules),
        ..TreeChange::default()
    });
}

/// A file at a root, if it is there.
fn read_small(root: &SharedFile, name: &str) -> std::io::Result<Option<Vec<u8>>> {
    let found = match find::find(&**root, &c_string(name), Links::Inside) {
        Ok(found) => found,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let stat = find::stat(&found)?;
    if stat.kind != crate::engine::operation::FileKind::Regular {
        return Ok(None);
    }
    let file: OwnedFd = find::open_found(&found)?;
    let mut bytes = Vec::new();
    let limit = RULE_FILE_BYTES_MAX as u64 + 1;
    std::fs::File::from(file)
        .take(limit)
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The file whose being there switches maintenance on.
fn switch_of(settings: &SiteSettings) -> Option<&Path> {
    let mut all = settings.rules.settings().maintenance.iter();
    all.find_map(|maintenance| maintenance.when_file.as_deref())
}

fn follow_switch(site: &Arc<Site>, file: &Path, watcher: &mut Watcher) {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
        return;
    };
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    let Ok(root) = open_root(directory) else {
        let directory = directory.display();
        log::warn!("{directory} cannot be watched for the file that switches maintenance on");
        return;
    };
    let (site, file) = (Arc::clone(site), file.to_owned());
    let name = CString::new(name.as_bytes()).expect("a name of a file holds no NUL");
    watcher.follow(Follow {
        path: directory.to_owned(),
        root,
        files: vec![name],
        on_change: Box::new(move |_| {
            let is_there = file.exists();
            log::info!("maintenance is {}", if is_there { "on" } else { "off" });
            site.change(TreeChange {
                in_maintenance: Some(is_there),
                ..TreeChange::default()
            });
        }),
    });
}

fn c_string(name: &str) -> CString {
    CString::new(name).expect("a constant without NUL")
}
