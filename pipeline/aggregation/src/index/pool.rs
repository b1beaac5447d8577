//! Texts that many rows share, such as domains and addresses, each kept once.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// The number of a text in its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextId(u32);

/// The texts. One that no row uses any more is forgotten.
#[derive(Default)]
pub(super) struct Pool {
    texts: Vec<Entry>,
    ids: FxHashMap<Arc<str>, TextId>,
    free: Vec<TextId>,
}

struct Entry {
    text: Arc<str>,
    uses: u32,
}

impl Pool {
    /// Adds a use of a text.
    pub(super) fn take(&mut self, text: &str) -> TextId {
        if let Some(id) = self.ids.get(text) {
            self.texts[id.0 as usize].uses += 1;
            return *id;
        }
        let entry = Entry { text: text.into(), uses: 1 };
        let text = Arc::clone(&entry.text);
        let id = if let Some(id) = self.free.pop() {
            self.texts[id.0 as usize] = entry;
            id
        } else {
            self.texts.push(entry);
            TextId(self.texts.len() as u32 - 1)
        };
        self.ids.insert(text, id);
        id
    }

    /// Ends a use.
    pub(super) fn release(&mut self, id: TextId) {
        let entry = &mut self.texts[id.0 as usize];
        entry.uses -= 1;
        if entry.uses == 0 {
            let text = std::mem::replace(&mut entry.text, "".into());
            self.ids.remove(&text);
            self.free.push(id);
        }
    }

    /// The text of an id that is in use.
    pub(super) fn text(&self, id: TextId) -> &str {
        &self.texts[id.0 as usize].text
    }

    /// Number of texts in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_forgotten_after_its_last_use() {
        let mut pool = Pool::default();
        let (first, again, other) = (pool.take("a"), pool.take("a"), pool.take("b"));
        assert_eq!((first, pool.text(other), pool.len()), (again, "b", 2));
        pool.release(first);
        assert_eq!(pool.text(again), "a");
        pool.release(again);
        assert_eq!(pool.len(), 1);
        let reused = pool.take("c");
        assert_eq!((reused, pool.text(reused), pool.text(other)), (first, "c", "b"));
        assert_ne!(pool.take("a"), reused);
    }
}
