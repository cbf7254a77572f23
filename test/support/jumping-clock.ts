/**
 * Loaded into an instance before its own code (`NODE_OPTIONS=--import=…`): gives it a wall clock that a test can move.
 * The file that `JUMPING_CLOCK` names holds by how many milliseconds it is off; SIGUSR2 reads it anew.
 */
import { readFileSync } from 'node:fs';

const { now: trueNow } = Date;
let offsetMs = read();

function read(): number {
  return Number(readFileSync(process.env.JUMPING_CLOCK ?? '', 'utf8'));
}

process.on('SIGUSR2', () => {
  offsetMs = read();
});
Date.now = () => trueNow() + offsetMs;
