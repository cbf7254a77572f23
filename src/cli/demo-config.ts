/** Writes the configuration files of the demo's instances, with which `callfs server` can run them by hand too. */
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { stringify } from 'yaml';
import type { DemoBucket } from './demo-bucket.ts';
import type { DemoKeys } from './demo-keys.ts';
import type { InstancePlan } from './demo-plan.ts';
import { restartCommand } from './demo-report.ts';

/** Paths in it count from the file's folder, so the folder can be moved. */
export async function writeConfig(plan: InstancePlan, keys: DemoKeys): Promise<void> {
  const text = `# ${plan.id} of a cluster on one host. "callfs demo" writes this file anew at each start.
# It holds keys: do not share it. To run this instance by hand:
#   ${restartCommand(plan)}
${stringify(configOf(plan, keys))}`;
  await writeFile(plan.configFile, text, { mode: 0o600 });
}

function configOf({ id, port, url, dataRoot, bucket }: InstancePlan, keys: DemoKeys): object {
  const { internal_proxy_secret, ...apiKeyUsers } = keys;
  return {
    server: { listen_addr: `127.0.0.1:${port}`, external_url: url },
    auth: {
      api_key_users: apiKeyUsers,
      users: {
        alice: { uid: 1001, gid: 1001, groups: ['staff'] },
        bob: { uid: 1002, gid: 1002, groups: ['staff'] },
        admin: { admin: true },
      },
      internal_proxy_secret,
    },
    handlers: { enable_cross_server_support: true },
    instance_discovery: { instance_id: id },
    backend: { ...(bucket && bucketConfig(bucket)), localfs_root_path: `./${basename(dataRoot)}` },
    metadata_store: { type: 'sqlite', sqlite_path: './callfs.sqlite3' },
  };
}

function bucketConfig({ endpoint, region, name, accessKey, secretKey }: DemoBucket): object {
  return {
    default_backend: 's3',
    s3_endpoint: endpoint,
    s3_region: region,
    s3_bucket_name: name,
    s3_access_key: accessKey,
    s3_secret_key: secretKey,
  };
}
