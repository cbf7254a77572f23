/** Measures every asynchronous method of an object without the object knowing. */

/** @param observe told the method's name and how long its promise took, in seconds */
export function timed<T extends object>(target: T, observe: (method: string, seconds: number) => void): T {
  const wrapped = new Map<string | symbol, unknown>();
  return new Proxy(target, {
    get(object, key) {
      const known = wrapped.get(key);
      if (known) return known;
      const value: unknown = Reflect.get(object, key, object);
      if (typeof value !== 'function') return value;
      const method = typeof key === 'string' ? timedMethod(object, value as Method, key, observe) : value.bind(object);
      wrapped.set(key, method);
      return method;
    },
  });
}

type Method = (...values: unknown[]) => unknown;

function timedMethod(
  object: object,
  method: Method,
  name: string,
  observe: (method: string, seconds: number) => void,
): Method {
  return (...values) => {
    const startedAt = performance.now();
    const result = method.apply(object, values);
    if (!(result instanceof Promise)) return result;
    const done = (): void => observe(name, (performance.now() - startedAt) / 1000);
    result.then(done, done);
    return result;
  };
}
