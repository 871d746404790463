//! The representations of one resource: its languages, its other media types, and the compressed
//! forms that stand beside each of them.

use std::borrow::Cow;

use super::walk::{Located, Verdict, Walk};
use crate::engine::operation::FileKind;
use crate::http::{Coding, SafePath, media_type};
use crate::route::site::SiteSettings;

/// One file of a resource.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) located: Located,
    /// Below the mount.
    pub(super) path: SafePath,
    pub(super) media_type: Cow<'static, str>,
    pub(super) language: Option<u16>,
    /// Compressed forms of it, found beside it and not older.
    pub(super) sidecars: Vec<Sidecar>,
}

/// A compressed form of a variant.
#[derive(Debug)]
pub(super) struct Sidecar {
    pub(super) coding: Coding,
    pub(super) located: Located,
    pub(super) path: SafePath,
}

/// Media types that may stand for another one, in order of preference.
const IMAGE_FORMS: [&str; 2] = ["avif", "webp"];
const SIDECARS: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

/// Finds the regular file `inner` below a mount and its other representations; `None` when it is a
/// directory. `whole` is the path that the site knows it by.
pub(super) async fn find(
    walk: &mut Walk<'_>,
    settings: &SiteSettings,
    mount: usize,
    inner: &SafePath,
    whole: &SafePath,
) -> Result<Option<Vec<Variant>>, Verdict> {
    let plain = match walk.find(mount, inner).await {
        Ok(located) => match located.stat.kind {
            FileKind::Regular => Ok(located),
            FileKind::Directory => return Ok(None),
            FileKind::Other => Err(Verdict::Missing),
        },
        Err(verdict) => Err(verdict),
    };
    let representations = &settings.representations;
    let mut variants = Vec::new();
    if let Ok(located) = &plain {
        let language = language_of(inner.file_name(), &representations.languages);
        let media_type = media_type::of_file_name(inner.file_name());
        let path = inner.clone();
        variants.push(Variant::new(located.clone(), path, media_type, language));
    }
    if !representations.languages.is_empty() {
        let named = variants
            .first()
            .is_some_and(|plain| plain.language.is_some());
        if !named {
            find_languages(
                walk,
                &representations.languages,
                mount,
                inner,
                whole,
                &mut variants,
            )
            .await;
        }
    }
    if variants.is_empty() {
        return plain.map(|_| None);
    }
    if representations.media_variants && variants.len() == 1 {
        find_media(walk, mount, inner, &mut variants).await;
    }
    if representations.sidecars {
        for variant in &mut variants {
            variant.find_sidecars(walk, mount).await;
        }
    }
    Ok(Some(variants))
}

impl Variant {
    fn new(
        located: Located,
        path: SafePath,
        media_type: Cow<'static, str>,
        language: Option<u16>,
    ) -> Variant {
        Variant {
            located,
            path,
            media_type,
            language,
            sidecars: Vec::new(),
        }
    }

    /// Looks for compressed forms of what can be compressed or is of no known type.
    async fn find_sidecars(&mut self, walk: &mut Walk<'_>, mount: usize) {
        let is_worth_it =
            media_type::is_compressible(&self.media_type) || self.media_type == media_type::UNKNOWN;
        let directory = self.located.directory;
        if !is_worth_it || directory.is_some_and(|seen| seen.is_without_forms()) {
            return;
        }
        let paths = SIDECARS.map(|coding| self.path.with_suffix(coding.extension()));
        let found = tokio::join!(
            walk.find_unobserved(mount, &paths[0]),
            walk.find_unobserved(mount, &paths[1]),
            walk.find_unobserved(mount, &paths[2]),
            walk.open_ahead(&self.located),
        );
        self.located.opened = found.3;
        let found = [found.0, found.1, found.2];
        if found
            .iter()
            .all(|found| matches!(found, Err(Verdict::Missing)))
        {
            walk.look_beside(mount, &self.path, &self.located);
        }
        for ((coding, path), located) in SIDECARS.into_iter().zip(paths).zip(found) {
            let located = match located {
                Ok(located) => located,
                Err(verdict) => {
                    walk.trail.note(verdict);
                    continue;
                }
            };
            if located.stat.kind != FileKind::Regular || located.is_linked {
                continue;
            }
            if located.stat.modified < self.located.stat.modified {
                super::warnings::stale_sidecar(&path);
                continue;
            }
            self.sidecars.push(Sidecar {
                coding,
                located,
                path,
            });
        }
    }
}

/// The site's language that a name says it is in: `page.de.html`, `page.html.de`.
fn language_of(name: &[u8], languages: &[String]) -> Option<u16> {
    let mut parts = name.split(|byte| *byte == b'.').skip(1);
    let is_language = |part: &[u8]| {
        let mut known = languages.iter();
        known.position(|language| part.eq_ignore_ascii_case(language.as_bytes()))
    };
    parts.find_map(is_language).map(|position| position as u16)
}

/// `page.de.html`, `page.html.de` and `/de/page.html` for each language, the first that is there.
/// A file without a language is in the default one.
async fn find_languages(
    walk: &mut Walk<'_>,
    languages: &[String],
    mount: usize,
    inner: &SafePath,
    whole: &SafePath,
    variants: &mut Vec<Variant>,
) {
    let has_plain = !variants.is_empty();
    let mut count = 0;
    for (position, language) in languages.iter().enumerate() {
        if has_plain && position == 0 {
            continue;
        }
        if let Some((located, path)) = find_language(walk, language, mount, inner, whole).await {
            let media_type = media_type::of_file_name(inner.file_name());
            let language = Some(position as u16);
            variants.push(Variant::new(located, path, media_type, language));
            count += 1;
        }
    }
    if has_plain && count > 0 {
        variants[0].language = Some(0);
    }
}

async fn find_language(
    walk: &mut Walk<'_>,
    language: &str,
    mount: usize,
    inner: &SafePath,
    whole: &SafePath,
) -> Option<(Located, SafePath)> {
    let is_file = |located: &Located| located.stat.kind == FileKind::Regular;
    let name = inner.file_name();
    if let Some(dot) = memchr::memrchr(b'.', name).filter(|dot| *dot > 0) {
        let (stem, extension) = name.split_at(dot);
        let name = [stem, b".", language.as_bytes(), extension].concat();
        let path = inner.with_file_name(&name);
        if let Some(located) = walk.find(mount, &path).await.ok().filter(is_file) {
            return Some((located, path));
        }
    }
    let path = inner.with_suffix(&format!(".{language}"));
    if let Some(located) = walk.find(mount, &path).await.ok().filter(is_file) {
        return Some((located, path));
    }
    let decoded = [b"/", language.as_bytes(), &whole.to_decoded()[..]].concat();
    let path = SafePath::from_decoded(&decoded)?;
    let (other, path) = walk.tree.mount_of(&path);
    if other != mount {
        return None; // A resource lies below one root.
    }
    let located = walk.find(mount, &path).await.ok().filter(is_file)?;
    Some((located, path))
}

/// `image.avif` and `image.webp` beside `image.jpg`, `page.md` beside `page.html`.
async fn find_media(
    walk: &mut Walk<'_>,
    mount: usize,
    inner: &SafePath,
    variants: &mut Vec<Variant>,
) {
    let name = inner.file_name();
    let Some(dot) = memchr::memrchr(b'.', name).filter(|dot| *dot > 0) else {
        return;
    };
    let forms: &[&str] = match &*variants[0].media_type {
        "image/jpeg" | "image/png" => &IMAGE_FORMS,
        "text/html; charset=utf-8" => &["md"],
        _ => return,
    };
    for form in forms {
        let path = inner.with_file_name(&[&name[..=dot], form.as_bytes()].concat());
        if let Ok(located) = walk.find(mount, &path).await
            && located.stat.kind == FileKind::Regular
        {
            let media_type = media_type::of_file_name(path.file_name());
            variants.push(Variant::new(located, path, media_type, None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watch_knows_the_endings_of_all_sidecars() {
        for coding in SIDECARS {
            let name = format!("page.html{}", coding.extension());
            assert!(crate::watch::is_form(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn languages_in_names() {
        let languages = ["en".to_owned(), "de".to_owned(), "pt-br".to_owned()];
        for (name, expected) in [
            ("page.de.html", Some(1)),
            ("page.html.de", Some(1)),
            ("page.pt-BR.html", Some(2)),
            ("page.html", None),
            ("de.html", None),
            ("page.fr.html", None),
            ("page", None),
        ] {
            assert_eq!(language_of(name.as_bytes(), &languages), expected, "{name}");
        }
    }
}
