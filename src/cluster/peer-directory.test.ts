/** Where peers are, as the store tells it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceRecord } from '../metadata/instance-store.ts';
import { PeerDirectory, type PeerDirectoryOptions } from './peer-directory.ts';

test('an instance that was just starting is found as soon as it has told its address', async () => {
  const records: Pick<InstanceRecord, 'id' | 'endpoint'>[] = [
    { id: 'here', endpoint: 'http://127.0.0.1:1' },
    { id: 'there', endpoint: '' },
  ];
  const options: Pick<PeerDirectoryOptions, 'instanceId' | 'configured' | 'listInstances'> = {
    instanceId: 'here',
    configured: {},
    listInstances: async () => records as InstanceRecord[],
  };
  const directory = new PeerDirectory(options as PeerDirectoryOptions);
  assert.equal(await directory.findEndpoint('there'), undefined);
  records[1] = { id: 'there', endpoint: 'http://127.0.0.1:2' };
  assert.equal(await directory.findEndpoint('there'), 'http://127.0.0.1:2');
  assert.equal(await directory.findEndpoint('nowhere'), undefined);
});
