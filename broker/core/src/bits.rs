//! A set of small numbers that finds its next member without scanning, however sparse it is.

/// Bits, and above them layers in which one bit says whether a word of the layer below has any. The
/// last layer is a single word.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitSet {
    layers: Vec<Vec<u64>>,
}

const WORD: usize = u64::BITS as usize;

impl BitSet {
    pub(crate) fn contains(&self, at: u32) -> bool {
        let at = at as usize;
        self.layers
            .first()
            .and_then(|bits| bits.get(at / WORD))
            .is_some_and(|word| word >> (at % WORD) & 1 == 1)
    }

    pub(crate) fn set(&mut self, at: u32, member: bool) {
        if member { self.insert(at) } else { self.remove(at) }
    }

    pub(crate) fn insert(&mut self, at: u32) {
        let mut at = at as usize;
        self.grow(at / WORD + 1);
        for layer in &mut self.layers {
            let word = &mut layer[at / WORD];
            let was_empty = *word == 0;
            *word |= 1 << (at % WORD);
            if !was_empty {
                return;
            }
            at /= WORD;
        }
    }

    pub(crate) fn remove(&mut self, at: u32) {
        let mut at = at as usize;
        for layer in &mut self.layers {
            let Some(word) = layer.get_mut(at / WORD) else { return };
            *word &= !(1 << (at % WORD));
            if *word != 0 {
                return;
            }
            at /= WORD;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers.last().is_none_or(|top| top[0] == 0)
    }

    /// The members, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.seek(0), |at| self.seek(at + 1))
    }

    /// The first member at `from` or later.
    pub(crate) fn seek(&self, from: u32) -> Option<u32> {
        self.seek_in(0, from as usize).map(|at| at as u32)
    }

    fn grow(&mut self, mut words: usize) {
        for level in 0.. {
            if self.layers.len() == level {
                let any_below = level > 0 && self.layers[level - 1][0] != 0;
                self.layers.push(vec![u64::from(any_below)]);
            }
            let layer = &mut self.layers[level];
            if layer.len() >= words {
                return;
            }
            layer.resize(words, 0);
            words = words.div_ceil(WORD);
        }
    }

    /// The first bit of a layer at `index` or later: up until a word has one, then down to it.
    fn seek_in(&self, layer: usize, mut index: usize) -> Option<usize> {
        let mut level = layer;
        let mut found = loop {
            let word = self.layers.get(level)?.get(index / WORD)? & (u64::MAX << (index % WORD));
            if word != 0 {
                break index / WORD * WORD + word.trailing_zeros() as usize;
            }
            index = index / WORD + 1;
            level += 1;
        };
        while level > layer {
            level -= 1;
            found = found * WORD + self.layers[level][found].trailing_zeros() as usize;
        }
        Some(found)
    }

    /// The first word at `index` or later that is not zero, and where it is.
    fn seek_word(&self, index: usize) -> Option<(usize, u64)> {
        let bits = self.layers.first()?;
        match *bits.get(index)? {
            0 => self.seek_in(1, index + 1).map(|index| (index, bits[index])),
            word => Some((index, word)),
        }
    }
}

/// The first number at `from` or later that is in all the sets, 64 at a time. None if there are no sets.
pub(crate) fn first_common(sets: &[&BitSet], from: u32) -> Option<u32> {
    if let [set] = sets {
        return set.seek(from);
    }
    let mut index = sets.first().map(|_| from as usize / WORD)?;
    let mut mask = u64::MAX << (from as usize % WORD);
    'words: loop {
        let mut common = mask;
        for set in sets {
            let (next, word) = set.seek_word(index)?;
            if next != index {
                (index, mask) = (next, u64::MAX);
                continue 'words;
            }
            common &= word;
        }
        if common != 0 {
            return Some((index * WORD) as u32 + common.trailing_zeros());
        }
        (index, mask) = (index + 1, u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const MAX: u32 = 70 * 64 * 64;

    fn set_of(members: &BTreeSet<u32>) -> BitSet {
        let mut set = BitSet::default();
        members.iter().for_each(|at| set.insert(*at));
        set
    }

    fn members() -> impl Strategy<Value = BTreeSet<u32>> {
        proptest::collection::btree_set(prop_oneof![0..200u32, 0..MAX], 0..60)
    }

    proptest! {
        #[test]
        fn it_is_a_set(members in members(), removed in members(), from in 0..MAX) {
            let mut set = set_of(&members);
            removed.iter().for_each(|at| set.remove(*at));
            let left: BTreeSet<u32> = members.difference(&removed).copied().collect();
            prop_assert_eq!(set.seek(from), left.range(from..).next().copied());
            prop_assert_eq!(set.iter().collect::<BTreeSet<u32>>(), left.clone());
            prop_assert_eq!(set.is_empty(), left.is_empty());
            prop_assert_eq!(set.contains(from), left.contains(&from));
        }

        #[test]
        fn common_members_are_found_in_order(a in members(), b in members(), from in 0..300u32) {
            let common = a.intersection(&b).copied().find(|at| *at >= from);
            prop_assert_eq!(first_common(&[&set_of(&a), &set_of(&b)], from), common);
        }
    }
}
