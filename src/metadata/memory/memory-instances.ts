/** The part of the store in memory that knows the instances: which process carries an id, and whether it lives. */
import { compareBytes } from '../../core/byte-order.ts';
import type { Heartbeat, HeartbeatOutcome, InstanceRecord, RegisterInstance, SetDraining } from '../instance-store.ts';
import { MemoryContentPlaces } from './memory-content-places.ts';

export abstract class MemoryInstances extends MemoryContentPlaces {
  async findInstance(id: string): Promise<InstanceRecord | undefined> {
    this.assertOpen();
    return this.instances.get(id);
  }

  async listInstances(): Promise<readonly InstanceRecord[]> {
    this.assertOpen();
    return [...this.instances.values()].sort((left, right) => compareBytes(left.id, right.id));
  }

  async registerInstance(request: RegisterInstance): Promise<boolean> {
    this.assertOpen();
    const { replaces, nowMs, bucketId = '', ...registered } = request;
    const { id } = registered;
    const current = this.instances.get(id);
    if (current?.bootId !== replaces?.bootId || current?.beat !== replaces?.beat) return false;
    const beat = (current?.beat ?? 0) + 1;
    const draining = current?.draining ?? false;
    this.instances.set(id, { ...registered, bucketId, beat, lastSeenMs: nowMs, stopped: false, draining });
    if (this.entries.claimRoot(id, nowMs)) this.note(this.entries.root);
    return true;
  }

  async heartbeat({ id, bootId, endpoint, nowMs }: Heartbeat): Promise<HeartbeatOutcome> {
    const current = this.#findBoot(id, bootId);
    if (!current) return 'replaced';
    this.instances.set(id, { ...current, endpoint, beat: current.beat + 1, lastSeenMs: nowMs });
    return current.draining ? 'draining' : 'alive';
  }

  async markStopped(id: string, bootId: string): Promise<void> {
    const current = this.#findBoot(id, bootId);
    if (current) this.instances.set(id, { ...current, stopped: true });
  }

  async setDraining({ instanceId, draining }: SetDraining): Promise<boolean> {
    const current = await this.findInstance(instanceId);
    if (current) this.instances.set(instanceId, { ...current, draining });
    return current !== undefined;
  }

  #findBoot(id: string, bootId: string): InstanceRecord | undefined {
    this.assertOpen();
    const current = this.instances.get(id);
    return current?.bootId === bootId ? current : undefined;
  }
}
