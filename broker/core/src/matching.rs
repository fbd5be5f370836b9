//! Gives each of a few requests a place of its own, exactly: no feasible choice is missed, and the
//! first one in the order of requests and places is taken. (Specification 5.5.)

use crate::search::{Steps, TooComplex};

/// Which requests may take which places.
pub(crate) struct Matching {
    /// For each request its places, ascending.
    pub(crate) places: Vec<Vec<usize>>,
    /// For each request the first one that is equal to it. Equal requests take places in ascending
    /// order, so that no choice is tried twice.
    pub(crate) equals: Vec<usize>,
}

/// A partial assignment while it is worked on.
struct Draft<'m> {
    matching: &'m Matching,
    /// The lowest place each request may still take.
    lowest: Vec<usize>,
    /// Who has each place.
    holders: Vec<Option<usize>>,
    /// How many requests, from the first, keep their places.
    fixed: usize,
}

impl Matching {
    /// The first assignment.
    pub(crate) fn first(&self, steps: &mut Steps) -> Result<Option<Vec<usize>>, TooComplex> {
        self.complete(&[], 0, steps)
    }

    /// The assignment that follows `previous`.
    pub(crate) fn after(
        &self,
        previous: &[usize],
        steps: &mut Steps,
    ) -> Result<Option<Vec<usize>>, TooComplex> {
        for (request, place) in previous.iter().enumerate().rev() {
            if let Some(found) = self.complete(&previous[..request], place + 1, steps)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first assignment that begins with `prefix` and goes on at `floor` or later.
    fn complete(
        &self,
        prefix: &[usize],
        floor: usize,
        steps: &mut Steps,
    ) -> Result<Option<Vec<usize>>, TooComplex> {
        let mut draft = self.draft(prefix, floor);
        for request in prefix.len()..self.places.len() {
            if !draft.seat(request, steps)? {
                return Ok(None);
            }
        }
        for request in prefix.len()..self.places.len() {
            draft.settle(request, steps)?;
        }
        let mut places = vec![0; self.places.len()];
        for (place, holder) in draft.holders.iter().enumerate() {
            if let Some(request) = holder {
                places[*request] = place;
            }
        }
        Ok(Some(places))
    }

    fn draft(&self, prefix: &[usize], floor: usize) -> Draft<'_> {
        let places = self.places.iter().filter_map(|places| places.last()).max().map_or(0, |last| last + 1);
        let mut lowest = vec![0; self.places.len()];
        let mut holders = vec![None; places];
        for (request, place) in prefix.iter().enumerate() {
            holders[*place] = Some(request);
        }
        let floors = prefix.iter().map(|place| place + 1).chain([floor]);
        for (request, floor) in floors.enumerate().take(self.places.len()) {
            let twins = self.equals.iter().map(|first| *first == self.equals[request]);
            for (lowest, _) in lowest.iter_mut().zip(twins).skip(request).filter(|(_, is_twin)| *is_twin) {
                *lowest = floor.max(*lowest);
            }
        }
        Draft { matching: self, lowest, holders, fixed: prefix.len() }
    }
}

impl Draft<'_> {
    /// Finds a place for a request, moving others if need be; changes nothing if there is none.
    fn seat(&mut self, request: usize, steps: &mut Steps) -> Result<bool, TooComplex> {
        let mut visited = vec![false; self.holders.len()];
        self.augment(request, &mut visited, steps)
    }

    /// One augmenting path; as deep as there are requests, at most.
    fn augment(
        &mut self,
        request: usize,
        visited: &mut [bool],
        steps: &mut Steps,
    ) -> Result<bool, TooComplex> {
        let (matching, lowest) = (self.matching, self.lowest[request]);
        for place in matching.places[request].iter().copied().filter(|place| *place >= lowest) {
            steps.spend(1)?;
            if visited[place] || self.holders[place].is_some_and(|holder| holder < self.fixed) {
                continue;
            }
            visited[place] = true;
            let vacant = match self.holders[place] {
                None => true,
                Some(holder) => self.augment(holder, visited, steps)?,
            };
            if vacant {
                self.holders[place] = Some(request);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Moves a seated request to the first place that leaves one for everybody after it, and fixes it.
    fn settle(&mut self, request: usize, steps: &mut Steps) -> Result<(), TooComplex> {
        self.fixed = request + 1;
        let Some(now) = self.holders.iter().position(|holder| *holder == Some(request)) else {
            return Ok(());
        };
        let (matching, lowest) = (self.matching, self.lowest[request]);
        for place in matching.places[request].iter().copied().filter(|place| (lowest..now).contains(place)) {
            steps.spend(1)?;
            let holder = self.holders[place];
            if holder.is_some_and(|holder| holder < request) {
                continue;
            }
            self.holders[now] = None;
            self.holders[place] = Some(request);
            match holder {
                Some(moved) if !self.seat(moved, steps)? => {
                    self.holders[now] = Some(request);
                    self.holders[place] = Some(moved);
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every assignment, in order; equal requests ascending.
    fn all(matching: &Matching, chosen: Vec<usize>, found: &mut Vec<Vec<usize>>) {
        let request = chosen.len();
        if request == matching.places.len() {
            return found.push(chosen);
        }
        for place in &matching.places[request] {
            let ascending = (0..request).all(|earlier| {
                matching.equals[earlier] != matching.equals[request] || chosen[earlier] < *place
            });
            if ascending && !chosen.contains(place) {
                all(matching, [chosen.clone(), vec![*place]].concat(), found);
            }
        }
    }

    proptest! {
        #[test]
        fn assignments_come_in_order_and_none_is_missed(
            mut places in proptest::collection::vec(proptest::collection::btree_set(0..5usize, 0..5), 1..5),
            same in any::<bool>(),
        ) {
            let mut equals: Vec<usize> = (0..places.len()).collect();
            if let Some(last) = equals.last_mut().filter(|_| same) {
                *last = 0;
                let first = places[0].clone();
                *places.last_mut().unwrap() = first;
            }
            let places = places.into_iter().map(|places| places.into_iter().collect()).collect();
            let matching = Matching { places, equals };
            let mut expected = Vec::new();
            all(&matching, Vec::new(), &mut expected);
            let mut steps = Steps::default();
            let mut found = Vec::new();
            let mut next = matching.first(&mut steps).unwrap();
            while let Some(assignment) = next {
                next = matching.after(&assignment, &mut steps).unwrap();
                found.push(assignment);
            }
            prop_assert_eq!(found, expected);
        }
    }
}
