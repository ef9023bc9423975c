// SPDX-License-Identifier: GPL-2.0-only

//! An intrusive interval tree: a treap of intervals ordered by their start,
//! each node augmented with the greatest end of its subtree.
//!
//! Augmentation: Cormen, Leiserson, Rivest, Stein, "Introduction to
//! Algorithms", chapter on augmenting data structures. Treap: Aragon, Seidel,
//! "Randomized Search Trees", FOCS 1989. A treap because its rotations are few
//! (less than two for each change, on average) and all changes but those stay
//! on the path to one node.

use core::ptr::NonNull;

use super::super::{interval::Interval, sync::Cell};

/// A link to a node.
pub(super) type Link = Option<NonNull<Node>>;

/// What an interval needs to stand in a tree.
///
/// The fields belong to the tree while the node is in one.
///
/// # Invariants
///
/// A node in no tree has no parent and no children, and `max_end` is `end`.
pub(super) struct Node {
    start: Cell<u64>,
    end: Cell<u64>,
    /// The greatest end in the subtree of this node.
    max_end: Cell<u64>,
    priority: Cell<u64>,
    parent: Cell<Link>,
    children: [Cell<Link>; 2],
}

/// Which child.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left = 0,
    Right = 1,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

impl Node {
    /// A node in no tree.
    #[inline]
    pub(super) fn new(interval: Interval) -> Self {
        Self {
            start: Cell::new(interval.start()),
            end: Cell::new(interval.end()),
            max_end: Cell::new(interval.end()),
            priority: Cell::new(0),
            parent: Cell::new(None),
            children: [Cell::new(None), Cell::new(None)],
        }
    }

    /// Its interval.
    #[inline]
    pub(super) fn interval(&self) -> Interval {
        Interval::new(self.start.get(), self.end.get())
            .unwrap_or_else(|| unreachable!("nodes are not empty"))
    }

    /// Gives the node, which is in no tree, another interval.
    pub(super) fn set_interval(&self, interval: Interval) {
        self.start.set(interval.start());
        self.end.set(interval.end());
        self.max_end.set(interval.end());
    }

    fn child(&self, side: Side) -> &Cell<Link> {
        &self.children[side as usize]
    }

    #[inline]
    fn overlaps(&self, interval: Interval) -> bool {
        self.start.get() < interval.end() && interval.start() < self.end.get()
    }
}

/// A set of intervals, which may overlap and be equal.
///
/// # Invariants
///
/// Every node that can be reached from `root` is alive, and changed by calls
/// on this tree only (see [`Tree::insert`]).
pub(super) struct Tree {
    root: Cell<Link>,
}

impl Tree {
    /// An empty tree.
    pub(super) fn new() -> Self {
        Self {
            root: Cell::new(None),
        }
    }

    /// Whether there is nothing in it.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.root.get().is_none()
    }

    #[inline]
    fn get(&self, link: NonNull<Node>) -> &Node {
        // SAFETY: Links come from this tree: by the type invariants the node is
        // alive, and nobody holds a mutable reference to it.
        unsafe { link.as_ref() }
    }

    fn max_end(&self, link: Link) -> u64 {
        link.map_or(0, |node| self.get(node).max_end.get())
    }

    /// Puts a node into the tree; `priority` is random.
    ///
    /// # Safety
    ///
    /// - `new` points to a node in no tree, which stays where it is, shared,
    ///   until [`Tree::remove`] has been called for it.
    /// - Calls on one tree do not overlap in time, other than those that
    ///   only look.
    #[inline]
    pub(super) unsafe fn insert(&self, new: NonNull<Node>, priority: u64) {
        // INVARIANT: By the safety requirements.
        // SAFETY: By the safety requirements it is alive.
        let node = unsafe { new.as_ref() };
        node.priority.set(priority);
        if self.root.get().is_none() {
            self.root.set(Some(new));
            return;
        }
        self.insert_below(new, node);
    }

    fn insert_below(&self, new: NonNull<Node>, node: &Node) {
        let (start, end) = (node.start.get(), node.end.get());
        let mut next = self.root.get();
        let mut side = Side::Left;
        while let Some(link) = next {
            let at = self.get(link);
            if at.max_end.get() < end {
                at.max_end.set(end);
            }
            side = match start < at.start.get() {
                true => Side::Left,
                false => Side::Right,
            };
            node.parent.set(Some(link));
            next = at.child(side).get();
        }
        if let Some(parent) = node.parent.get() {
            self.get(parent).child(side).set(Some(new));
        }
        while let Some(parent) = node.parent.get() {
            if self.get(parent).priority.get() >= node.priority.get() {
                break;
            }
            self.rotate_up(new, parent);
        }
    }

    /// Takes a node out of the tree.
    ///
    /// # Safety
    ///
    /// - `old` is in this tree.
    /// - As for [`Tree::insert`], calls do not overlap in time.
    #[inline]
    pub(super) unsafe fn remove(&self, old: NonNull<Node>) {
        let node = self.get(old);
        // Down, until it has one child at most.
        let only = loop {
            match (node.children[0].get(), node.children[1].get()) {
                (Some(left), Some(right)) => {
                    let priority = |link| self.get(link).priority.get();
                    let up = match priority(left) > priority(right) {
                        true => left,
                        false => right,
                    };
                    self.rotate_up(up, old);
                }
                (left, right) => break left.or(right),
            }
        };
        let parent = node.parent.get();
        self.replace_child(parent, old, only);
        // INVARIANT: Else it was alone: it has neither, and its `max_end` is its end.
        if parent.is_some() || only.is_some() {
            self.close_gap(node, parent, only);
        }
    }

    /// Joins `only`, what was below `node`, to `parent`, and lets `node` forget them.
    fn close_gap(&self, node: &Node, parent: Link, only: Link) {
        if let Some(child) = only {
            self.get(child).parent.set(parent);
        }
        self.shrink_max_ends(parent);
        // INVARIANT: The node is in no tree now.
        node.parent.set(None);
        node.children[0].set(None);
        node.children[1].set(None);
        node.max_end.set(node.end.get());
    }

    /// Computes the greatest ends of `link` and its ancestors anew, as far up
    /// as they change.
    fn shrink_max_ends(&self, mut link: Link) {
        while let Some(at) = link {
            let node = self.get(at);
            let max_end = self.computed_max_end(node);
            if max_end == node.max_end.get() {
                return;
            }
            node.max_end.set(max_end);
            link = node.parent.get();
        }
    }

    fn computed_max_end(&self, node: &Node) -> u64 {
        let below = |side: usize| self.max_end(node.children[side].get());
        node.end.get().max(below(0)).max(below(1))
    }

    /// Puts `new` where `old` is below `parent`, or at the root.
    #[inline]
    fn replace_child(&self, parent: Link, old: NonNull<Node>, new: Link) {
        match parent {
            None => self.root.set(new),
            Some(parent) => {
                let parent = self.get(parent);
                let side = self.side_of(parent, old);
                parent.child(side).set(new);
            }
        }
    }

    fn side_of(&self, parent: &Node, child: NonNull<Node>) -> Side {
        match parent.children[0].get() == Some(child) {
            true => Side::Left,
            false => Side::Right,
        }
    }

    /// Turns `child` and its parent around: the parent becomes its child.
    fn rotate_up(&self, child: NonNull<Node>, parent: NonNull<Node>) {
        let (lower, upper) = (self.get(child), self.get(parent));
        let side = self.side_of(upper, child);
        let moved = lower.child(side.other()).get();

        upper.child(side).set(moved);
        if let Some(moved) = moved {
            self.get(moved).parent.set(Some(parent));
        }
        let above = upper.parent.get();
        self.replace_child(above, parent, Some(child));
        lower.parent.set(above);
        lower.child(side.other()).set(Some(parent));
        upper.parent.set(Some(child));

        lower.max_end.set(upper.max_end.get());
        upper.max_end.set(self.computed_max_end(upper));
    }

    /// Whether any node overlaps `interval`.
    #[inline]
    pub(super) fn has_overlapping(&self, interval: Interval) -> bool {
        self.first_overlapping(self.root.get(), interval).is_some()
    }

    /// Calls `visit` for each node that overlaps `interval`. It must not
    /// change the tree.
    #[inline]
    pub(super) fn for_each_overlapping(
        &self,
        interval: Interval,
        mut visit: impl FnMut(NonNull<Node>),
    ) {
        if self.is_empty() {
            return;
        }
        let mut next = self.first_overlapping(self.root.get(), interval);
        while let Some(link) = next {
            visit(link);
            next = self.next_overlapping(link, interval);
        }
    }

    /// The node with the lowest start that overlaps, in the subtree of `link`.
    fn first_overlapping(&self, link: Link, interval: Interval) -> Link {
        let mut link = link?;
        if self.get(link).max_end.get() <= interval.start() {
            return None;
        }
        // Here something in the subtree ends behind the start of `interval`.
        loop {
            let node = self.get(link);
            if let Some(left) = node.children[0].get() {
                if self.get(left).max_end.get() > interval.start() {
                    // If nothing there overlaps, then because it starts too
                    // high, and so does all the rest.
                    link = left;
                    continue;
                }
            }
            if node.start.get() >= interval.end() {
                return None;
            }
            if node.overlaps(interval) {
                return Some(link);
            }
            match node.children[1].get() {
                Some(right) if self.get(right).max_end.get() > interval.start() => link = right,
                _ => return None,
            }
        }
    }

    /// The next node that overlaps behind `link`, which does.
    fn next_overlapping(&self, link: NonNull<Node>, interval: Interval) -> Link {
        let mut link = link;
        loop {
            let right = self.get(link).children[1].get();
            if let Some(found) = self.first_overlapping(right, interval) {
                return Some(found);
            }
            // Up to the first ancestor that this subtree is on the left of.
            link = loop {
                let parent = self.get(link).parent.get()?;
                let side = self.side_of(self.get(parent), link);
                link = parent;
                if side == Side::Left {
                    break parent;
                }
            };
            let node = self.get(link);
            if node.start.get() >= interval.end() {
                return None;
            }
            if node.overlaps(interval) {
                return Some(link);
            }
        }
    }
}

#[cfg(test)]
impl Tree {
    /// How many nodes there are, all of them linked and ordered as they should be.
    pub(super) fn check(&self) -> usize {
        self.check_below(self.root.get(), None).0
    }

    /// The number of nodes from `link` down, and their greatest end.
    fn check_below(&self, link: Link, parent: Link) -> (usize, u64) {
        let Some(this) = link else { return (0, 0) };
        let node = self.get(this);
        assert_eq!(node.parent.get(), parent, "parent");
        let [left, right] = [0, 1].map(|side| node.children[side].get());
        for child in [left, right].into_iter().flatten() {
            assert!(
                self.get(child).priority.get() <= node.priority.get(),
                "heap"
            );
        }
        assert!(left.is_none_or(|child| self.get(child).start.get() <= node.start.get()));
        assert!(right.is_none_or(|child| self.get(child).start.get() >= node.start.get()));
        let (left, right) = (self.check_below(left, link), self.check_below(right, link));
        let max_end = node.end.get().max(left.1).max(right.1);
        assert_eq!(node.max_end.get(), max_end, "greatest end");
        (1 + left.0 + right.0, max_end)
    }
}

#[cfg(test)]
impl Node {
    /// It is in no tree, and says so.
    pub(super) fn check_alone(&self) {
        assert!(self.parent.get().is_none(), "parent");
        assert!(self.children.iter().all(|child| child.get().is_none()));
        assert_eq!(self.max_end.get(), self.end.get(), "greatest end");
    }
}
