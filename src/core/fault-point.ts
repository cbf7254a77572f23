/**
 * Places where a crash is interesting. In an instance that serves they do nothing; a crash test
 * arms one, and the process then kills or stops itself exactly there. Threads share one state.
 */

/** All of them, in the order of a request's way: http, engine, staging, commit, store, answer, forwarding, settling. */
export const FAULT_POINTS = [
  'http:request',
  'engine:resolved',
  'stage:opened',
  'stage:bytes-written',
  'stage:received',
  'stage:synced',
  'stage:durable',
  'engine:before-commit',
  'store:before-begin',
  'store:after-begin',
  'store:after-statements',
  'store:after-commit',
  'engine:after-commit',
  'http:before-answer',
  'http:answered',
  'forward:before-dial',
  'forward:dialled',
  'forward:head-sent',
  'forward:body-wanted',
  'forward:body-part',
  'forward:body-sent',
  'forward:before-answer',
  'forward:answer-begun',
  'forward:answer-part',
  'forward:answer-received',
  'forward:answered',
  'contents:before-head',
  'contents:head-sent',
  'contents:sent',
  'peer-contents:before-fetch',
  'peer-contents:begun',
  'peer-contents:part',
  'peer-contents:fetched',
  'settle:looked',
  'settle:recorded',
  'settle:before-place',
  'settle:placed',
  'settle:before-remove',
  'settle:removed',
  'settle:before-move',
  'settle:moved',
  'settle:before-sync',
  'settle:synced',
  'settle:forgotten',
] as const;

export type FaultPoint = (typeof FAULT_POINTS)[number];

/** What happens where a fault point is armed: the process dies, or it stops until it gets SIGCONT. */
export type FaultAction = 'kill' | 'stop';

const ACTIONS: readonly FaultAction[] = ['kill', 'stop'];

/** Cells of the shared state: what is armed (0: nothing), how often it is passed before, and then one counter a point. */
const ARMED = 0;
const REMAINING = 1;
const ACTION = 2;
const COUNTERS = 3;

let state: Int32Array<SharedArrayBuffer> | undefined;

/** Does nothing unless the process was started for a crash test. */
export function faultPoint(name: FaultPoint): void {
  if (state !== undefined) pass(state, FAULT_POINTS.indexOf(name));
}

function pass(cells: Int32Array<SharedArrayBuffer>, index: number): void {
  Atomics.add(cells, COUNTERS + index, 1);
  if (Atomics.load(cells, ARMED) !== index + 1 || Atomics.sub(cells, REMAINING, 1) !== 1) return;
  Atomics.store(cells, ARMED, 0);
  // Both take effect before the call returns.
  process.kill(process.pid, ACTIONS[Atomics.load(cells, ACTION)] === 'stop' ? 'SIGSTOP' : 'SIGKILL');
}

/** What another thread of the process has to be given; undefined: fault points are off. */
export function faultState(): SharedArrayBuffer | undefined {
  return state?.buffer;
}

/** Switches fault points on in this thread. @param shared what `faultState` gave in the thread that started this one */
export function enableFaultPoints(
  shared: SharedArrayBuffer = new SharedArrayBuffer((COUNTERS + FAULT_POINTS.length) * Int32Array.BYTES_PER_ELEMENT),
): void {
  state = new Int32Array(shared);
}

export interface ArmedFault {
  readonly point: FaultPoint;
  /** 1: the next time that the point is passed. */
  readonly occurrence: number;
  readonly action: FaultAction;
}

/** @param fault undefined: nothing happens any more */
export function armFault(fault: ArmedFault | undefined): void {
  if (state === undefined) throw new Error('Fault points are off.');
  Atomics.store(state, ARMED, 0);
  if (fault === undefined) return;
  Atomics.store(state, REMAINING, fault.occurrence);
  Atomics.store(state, ACTION, ACTIONS.indexOf(fault.action));
  Atomics.store(state, ARMED, FAULT_POINTS.indexOf(fault.point) + 1);
}

/** How often each point was passed since the last call. */
export function takeFaultCounts(): Readonly<Record<FaultPoint, number>> {
  const cells = state;
  const counts = FAULT_POINTS.map((name, index) => {
    return [name, cells === undefined ? 0 : Atomics.exchange(cells, COUNTERS + index, 0)] as const;
  });
  return Object.fromEntries(counts) as Record<FaultPoint, number>;
}
