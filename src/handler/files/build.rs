//! From found files to an entry: their contents placed, their heads rendered.

use bytes::Bytes;

use super::contents::{Placed, Unread, is_racy};
use super::load::Loader;
use super::render::{self, Dress};
use super::resolve::FoundFile;
use super::variants::{Sidecar, Variant};
use crate::base::limits::{COMPRESS_BYTES_MAX, COMPRESS_BYTES_MIN};
use crate::cache::{
    About, Content, Entry, Hold, Made, Origin, Outcome, Representation, Resource, Vary,
};
use crate::engine::operation::FileStat;
use crate::http::validator::file_etag;
use crate::http::{Coding, CodingSet, SafePath, Validators, media_type};

/// An entry that is being built.
struct Builder<'a> {
    loader: &'a Loader<'a>,
    mount: usize,
    /// The path that it answers for, decoded.
    path: &'a [u8],
    vary: Vary,
    /// Further fields that rules looked at.
    vary_names: &'a str,
    hold: Hold,
    /// Files so far.
    states: u8,
    all: Vec<Representation>,
}

impl Loader<'_> {
    /// Reads or opens all files of a resource and renders its heads. `made`: compressed forms of
    /// its files as they are now.
    pub(super) async fn build(
        &self,
        path: &SafePath,
        key: Box<[u8]>,
        found: &FoundFile,
        made: &[Made],
        vary_names: &str,
    ) -> Result<Entry, Unread> {
        let mut builder = Builder {
            loader: self,
            mount: found.mount,
            path: &path.to_decoded(),
            vary: self.vary_of(found),
            vary_names,
            hold: Hold::default(),
            states: 0,
            all: Vec::new(),
        };
        for (position, variant) in found.variants.iter().enumerate() {
            let position = position as u8;
            let made: Vec<&Made> = made
                .iter()
                .filter(|made| made.variant == position)
                .collect();
            builder.add(position, variant, &made).await?;
        }
        let Builder {
            vary, hold, all, ..
        } = builder;
        let states = found.states();
        let racy = states.iter().any(|stat| is_racy(stat, self.now));
        let origin = Origin::Files {
            states: states.into(),
            racy,
        };
        let mut all = all.into_iter();
        let resource = Resource {
            first: all.next().expect("a resource has a file"),
            others: all.collect(),
            vary,
            by_query: false,
        };
        let outcome = Outcome::Resource(Box::new(resource));
        Ok(Entry::new(key, outcome, origin, hold, self.now.monotonic))
    }

    fn vary_of(&self, found: &FoundFile) -> Vary {
        let first = &found.variants[0];
        let any = |differs: &dyn Fn(&Variant) -> bool| found.variants.iter().any(differs);
        Vary {
            accept: any(&|variant| variant.media_type != first.media_type),
            encoding: any(&|variant| {
                !variant.sidecars.is_empty() || !self.makes_of(variant, &[]).is_empty()
            }),
            language: any(&|variant| variant.language != first.language),
        }
    }

    /// The codings that can be made of a variant on the fly, or be made better.
    fn makes_of(&self, variant: &Variant, made: &[&Made]) -> CodingSet {
        let mut makes = CodingSet::default();
        let len = variant.located.stat.len;
        let is_possible = self.site.settings().representations.compress
            && self.store.keeps_anything()
            && (COMPRESS_BYTES_MIN..=COMPRESS_BYTES_MAX).contains(&len)
            && media_type::is_compressible(&variant.media_type);
        if !is_possible {
            return makes;
        }
        for coding in [Coding::Brotli, Coding::Zstd, Coding::Gzip] {
            let has_sidecar = variant
                .sidecars
                .iter()
                .any(|sidecar| sidecar.coding == coding);
            let is_made = |made: &&Made| made.coding == coding && made.is_final;
            if !has_sidecar && !made.iter().any(is_made) {
                makes = makes.with(coding);
            }
        }
        makes
    }

    /// An entry for a file that is appended to faster than it is read (a log): a state of it that
    /// was there once, for those who wait now. Nothing of it can be compared later, so it has no
    /// validators and is not kept.
    pub(super) fn snapshot(
        &self,
        path: &SafePath,
        key: Box<[u8]>,
        found: &FoundFile,
        bytes: Bytes,
    ) -> Entry {
        let variant = &found.variants[0];
        let decoded = path.to_decoded();
        let dress = Dress {
            rules: &self.tree.rules,
            host: self.host,
            languages: &[],
            path: &decoded,
            file_name: variant.path.file_name(),
            vary: Vary::default(),
            vary_names: "",
            security_policy: None,
        };
        let about = About {
            media_type: variant.media_type.clone(),
            coding: Coding::Identity,
            language: None,
            variant: 0,
            state: 0,
        };
        let (len, content) = (bytes.len() as u64, Content::Memory(bytes));
        let first = render::representation(&dress, about, Validators::default(), len, content);
        let resource = Resource {
            first,
            others: Box::default(),
            vary: Vary::default(),
            by_query: false,
        };
        let outcome = Outcome::Resource(Box::new(resource));
        let (origin, hold) = (Origin::Unknown, Hold::unkept());
        Entry::new(key, outcome, origin, hold, self.now.monotonic)
    }
}

impl Builder<'_> {
    /// Adds a file with its compressed forms: those beside it, and those that were made.
    async fn add(&mut self, position: u8, variant: &Variant, made: &[&Made]) -> Result<(), Unread> {
        let stat = &variant.located.stat;
        let validators = Validators::of_file(stat.modified, stat.len);
        let state = self.states;
        let placed = self
            .loader
            .place(self.mount, &variant.path, &variant.located)
            .await?;
        let content = placed.hold_by(&mut self.hold);
        let about = |coding, state| About {
            media_type: variant.media_type.clone(),
            coding,
            language: variant.language,
            variant: position,
            state,
        };
        let plain = about(Coding::Identity, state);
        let mut plain = self.render(variant, plain, validators.clone(), stat.len, content);
        plain.makes = self.loader.makes_of(variant, made);
        self.all.push(plain);
        self.states += 1;
        for sidecar in &variant.sidecars {
            let about = about(sidecar.coding, self.states);
            self.states += 1;
            self.add_sidecar(variant, sidecar, about, &validators)
                .await?;
        }
        for made in made {
            let etag = validators.etag.as_ref();
            let validators = Validators {
                etag: etag.map(|etag| etag.with_suffix(&format!("-{}", made.tag))),
                ..validators.clone()
            };
            let content = Content::Memory(made.bytes.clone());
            let (about, len) = (about(made.coding, state), made.bytes.len() as u64);
            let form = self.render(variant, about, validators, len, content);
            self.all.push(form);
        }
        Ok(())
    }

    /// It is dated as its file, and has an entity tag of its own.
    async fn add_sidecar(
        &mut self,
        variant: &Variant,
        sidecar: &Sidecar,
        about: About,
        validators: &Validators,
    ) -> Result<(), Unread> {
        let placed = self
            .loader
            .place(self.mount, &sidecar.path, &sidecar.located)
            .await?;
        let content = placed.hold_by(&mut self.hold);
        let stat = &sidecar.located.stat;
        let etag =
            file_etag(stat.modified, stat.len).with_suffix(&format!("-{}", sidecar.coding.name()));
        let validators = Validators {
            etag: Some(etag),
            ..validators.clone()
        };
        let form = self.render(variant, about, validators, stat.len, content);
        self.all.push(form);
        Ok(())
    }

    fn render(
        &self,
        variant: &Variant,
        about: About,
        validators: Validators,
        len: u64,
        content: Content,
    ) -> Representation {
        let dress = Dress {
            rules: &self.loader.tree.rules,
            host: self.loader.host,
            languages: &self.loader.site.settings().representations.languages,
            path: self.path,
            file_name: variant.path.file_name(),
            vary: self.vary,
            vary_names: self.vary_names,
            security_policy: None,
        };
        render::representation(&dress, about, validators, len, content)
    }
}

impl FoundFile {
    /// The states of all its files, in order.
    pub(super) fn states(&self) -> Vec<FileStat> {
        let mut states = Vec::new();
        for variant in &self.variants {
            states.push(variant.located.stat);
            states.extend(variant.sidecars.iter().map(|sidecar| sidecar.located.stat));
        }
        states
    }
}

impl Placed {
    /// Hands over what pays for the content.
    fn hold_by(self, hold: &mut Hold) -> Content {
        hold.descriptors.extend(self.descriptor);
        hold.is_unkept |= self.is_unkept;
        self.content
    }
}
