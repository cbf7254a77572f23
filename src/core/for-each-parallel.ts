/** Work on many things, a bounded number of them at a time. */

/**
 * Takes the next item as soon as one of `lanes` is done.
 * @throws the first failure; what is in flight then goes on, nothing new is begun by its lane
 */
export async function forEachParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  lanes: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const rest = iteratorOf(items);
  const lane = async (): Promise<void> => {
    for (let next = await rest.next(); !next.done; next = await rest.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function iteratorOf<T>(items: Iterable<T> | AsyncIterable<T>): Iterator<T> | AsyncIterator<T> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
}
