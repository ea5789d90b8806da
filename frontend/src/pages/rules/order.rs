//! Moving one item of a list to another place.

/// The list with the wanted item at `place`; nothing when that changes nothing.
pub fn moved<T: Clone>(list: &[T], wanted: impl Fn(&T) -> bool, place: usize) -> Option<Vec<T>> {
    let from = list.iter().position(wanted)?;
    let to = place.min(list.len().checked_sub(1)?);
    if from == to {
        return None;
    }
    let mut out = list.to_vec();
    let item = out.remove(from);
    out.insert(to, item);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn an_item_moves_and_the_others_keep_their_order() {
        assert_eq!(moved(&[1, 2, 3, 4], |n| *n == 1, 2), Some(vec![2, 3, 1, 4]));
        assert_eq!(moved(&[1, 2, 3, 4], |n| *n == 4, 0), Some(vec![4, 1, 2, 3]));
        assert_eq!(moved(&[1, 2, 3], |n| *n == 1, 9), Some(vec![2, 3, 1]));
    }

    #[test]
    fn a_move_to_the_same_place_is_none() {
        assert_eq!(moved(&[1, 2], |n| *n == 2, 1), None);
        assert_eq!(moved(&[1, 2], |n| *n == 2, 7), None);
        assert_eq!(moved(&[1, 2], |n| *n == 3, 0), None);
        assert_eq!(moved::<i32>(&[], |_| true, 0), None);
    }
}
