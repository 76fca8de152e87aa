//! Answers to a batch, counted. An HSM or a store that gives fewer or more of them than it was asked for is broken: nobody
//! can tell which answer belongs to which item, so none is used.

/// One answer for each item that was asked about, else a fault: `HsmFault` or `StoreFault`.
pub(crate) fn one_each<T, E>(answers: Vec<T>, asked: usize, broken: fn(String) -> E) -> Result<Vec<T>, E> {
    if answers.len() == asked {
        Ok(answers)
    } else {
        Err(broken(format!("{} answers for {asked} items", answers.len())))
    }
}

/// The answer to a batch of one.
pub(crate) fn only<T, E>(answers: Vec<T>, broken: fn(String) -> E) -> Result<T, E> {
    let [answer] = <[T; 1]>::try_from(answers)
        .map_err(|answers| broken(format!("{} answers for 1 item", answers.len())))?;
    Ok(answer)
}
