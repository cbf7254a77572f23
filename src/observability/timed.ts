/** Measures every asynchronous method of an object, and of the objects it is made of, without them knowing. */

/** @param operation the method's name behind those of the properties that lead to it: `find`, `jobs.add` */
export type Observe = (operation: string, seconds: number) => void;

/** @param observe told how long the promise of a method took, in seconds, whether it was fulfilled or rejected */
export function timed<T extends object>(target: T, observe: Observe): T {
  return timedAs('', target, observe);
}

/** @param prefix what comes before the names of its methods */
function timedAs<T extends object>(prefix: string, target: T, observe: Observe): T {
  const known = new Map<string | symbol, { readonly value: unknown; readonly wrapped: unknown }>();
  return new Proxy(target, {
    get(object, key) {
      const value: unknown = Reflect.get(object, key, object);
      const last = known.get(key);
      if (last && last.value === value) return last.wrapped;
      const wrapped = wrap(object, value, typeof key === 'string' ? prefix + key : undefined, observe);
      known.set(key, { value, wrapped });
      return wrapped;
    },
  });
}

/** @param name undefined: it is not measured */
function wrap(object: object, value: unknown, name: string | undefined, observe: Observe): unknown {
  if (typeof value === 'function') {
    return name === undefined ? value.bind(object) : timedMethod(object, value as Method, name, observe);
  }
  const isPart = typeof value === 'object' && value !== null && name !== undefined;
  return isPart ? timedAs(`${name}.`, value, observe) : value;
}

type Method = (...values: unknown[]) => unknown;

function timedMethod(object: object, method: Method, name: string, observe: Observe): Method {
  return (...values) => {
    const startedAt = performance.now();
    const result = method.apply(object, values);
    if (!(result instanceof Promise)) return result;
    const done = (): void => observe(name, (performance.now() - startedAt) / 1000);
    result.then(done, done);
    return result;
  };
}
