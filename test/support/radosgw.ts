/**
 * A real S3 server for tests: Ceph's object gateway, in memory, on loopback ports that the system chooses. It ends with the
 * process that started it, however that ends, and leaves no files.
 */
import { RADOSGW_PROGRAMS, Radosgw } from '../../src/cli/radosgw.ts';
import { unlessInstalled } from './installed.ts';
import { freePorts } from './member.ts';
import { TestS3 } from './test-s3.ts';

/** For the option `skip` of tests that need the server: the reason, where it is not installed. */
export const UNLESS_RADOSGW = RADOSGW_PROGRAMS.map(unlessInstalled).find((reason) => reason !== false) ?? false;

const KEYS = { accessKey: 'callfs-test', secretKey: 'callfs-test-secret' };

/** Resolves when it answers; about 1.5 s. Rejects with what its programs said when one of them does not come up. */
export async function startRadosgw(): Promise<TestS3> {
  const [monitorPort = 0, gatewayPort = 0] = await freePorts(2);
  const server = new Radosgw({ monitorPort, gatewayPort, ...KEYS });
  const stop = (): Promise<void> => server[Symbol.asyncDispose]();
  try {
    await server.start();
    return new TestS3({ endpoint: server.endpoint, region: 'us-east-1', ...KEYS }, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}
