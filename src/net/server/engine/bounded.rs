//! Bounded map: a cache of what can be found again, which forgets everything rather than grow too large.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// Map of at most so many entries.
pub struct BoundedMap<K, V> {
    entries: HashMap<K, V>,
    most: usize,
}

impl<K: Eq + Hash, V> BoundedMap<K, V> {
    /// Empty map.
    pub fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), most }
    }

    /// Entry of a key.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// Adds an entry; a full map is emptied before.
    pub fn insert(&mut self, key: K, value: V) {
        if self.entries.len() >= self.most {
            self.entries.clear();
        }
        self.entries.insert(key, value);
    }

    /// Takes an entry out.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key)
    }

    /// Takes all entries out.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_begins_anew() {
        let mut map = BoundedMap::new(2);
        (0..3).for_each(|i| map.insert(i, i));
        assert_eq!([map.get(&0), map.get(&1), map.get(&2)], [None, None, Some(&2)]);
        assert_eq!(map.remove(&2), Some(2));
    }
}
