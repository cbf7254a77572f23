/** The memory backend against the contract. */
import { backendContract, TestLedger } from '../backend.contract.ts';
import { MemoryBackend } from './memory-backend.ts';

backendContract('memory', async () => {
  const ledger = new TestLedger();
  const backend = new MemoryBackend({ instanceId: 'instance', ledger });
  return { backend, ledger, async [Symbol.asyncDispose]() {} };
});
