'use strict'

// Owns: `pm2.Client`, the lower door that programs use for raw calls (contract/api.md 6.9). It shares the connection of
// its instance.

const { callback, handled, settle } = require('./settle.js')

class Client {
  /**
   * @param {any} pm2
   * @param {InstanceType<typeof import('./connection.js').Connection>} connection
   */
  constructor(pm2, connection) {
    this.conf = pm2._conf
    this.daemon_mode = pm2.daemon_mode
    this.pm2_home = pm2.pm2_home
    this.secret_key = pm2.secret_key
    this.public_key = pm2.public_key
    this.machine_name = pm2.machine_name
    this.rpc_socket_file = this.conf.DAEMON_RPC_PORT
    this.pub_socket_file = this.conf.DAEMON_PUB_PORT
    this.connection = connection
    Object.defineProperty(this, 'connection', { enumerable: false })
    // One value with the instance: `connect(true)` changes it.
    Object.defineProperty(this, 'daemon_mode', {
      get: () => pm2.daemon_mode,
      set: (mode) => {
        pm2.daemon_mode = mode
      },
    })
  }

  start(cb) {
    return settle(cb, () => this.connection.run({ action: 'connect' }))
  }

  launchRPC(cb) {
    return this.start(cb)
  }

  launchDaemon(opts, cb) {
    return this.start(callback(opts, cb))
  }

  /** Whether a daemon answers; its callback has no error. */
  pingDaemon(cb) {
    const asked = this.connection.run({ action: 'pingDaemon' }).catch(() => false)
    if (typeof cb !== 'function') return asked
    asked.then((alive) => process.nextTick(cb, alive))
    return undefined
  }

  /** A raw call of the daemon; the callback gets all that the daemon gave after the error. */
  executeRemote(method, arg, cb) {
    const done = callback(arg, cb)
    const args = typeof arg === 'function' || arg === undefined ? [] : [arg]
    const called = this.connection.run({ action: 'rpc', method: String(method), args })
    if (typeof done !== 'function') return handled(called.then((results) => results[0]))
    called.then(
      (results) => process.nextTick(done, null, ...results),
      (error) => process.nextTick(done, error),
    )
    return undefined
  }

  getExposedMethods(cb) {
    return settle(cb, async () => (await this.connection.run({ action: 'rpc', method: '$methods', args: [] }))[0])
  }

  launchBus(cb) {
    const opening = handled(this.connection.connectBus())
    if (typeof cb !== 'function') return opening
    opening.then(
      (bus) => process.nextTick(cb, null, bus, bus.sock),
      (error) => process.nextTick(cb, error),
    )
    return undefined
  }

  disconnectBus(cb) {
    return settle(cb, async () => {
      const { buses } = this.connection
      if (buses.size === 0) return { msg: 'bus was not connected' }
      for (const bus of [...buses]) bus.close()
      return { msg: 'bus closed' }
    })
  }

  disconnectRPC(cb) {
    return settle(cb, async () => {
      await this.connection.disconnectRpc()
      return { msg: 'RPC Successfully closed' }
    })
  }

  close(cb) {
    return settle(cb, () => this.connection.disconnect())
  }

  killDaemon(cb) {
    return settle(cb, () => this.connection.run({ action: 'killDaemon' }))
  }

  /** The daemon makes its folders itself. */
  initFileStructure(_conf) {}

  notifyGod(name, id, cb) {
    return settle(cb, () => this.connection.run({ action: 'notifyByProcessId', id, name: String(name) }))
  }

  startWatch(method, env, cb) {
    return settle(cb, () => this.connection.run({ action: 'startWatch', method, env }))
  }

  stopWatch(method, env, cb) {
    const whose = env !== null && typeof env === 'object' ? env : { id: env }
    return settle(cb, () => this.connection.run({ action: 'stopWatch', method, env: whose }))
  }

  toggleWatch(method, env, cb) {
    return settle(cb, () => this.connection.run({ action: 'toggleWatch', method, env }))
  }

  getAllProcess(cb) {
    return settle(cb, () => this.processes(() => true))
  }

  getAllProcessId(cb) {
    return settle(cb, async () => idsOf(await this.processes(() => true)))
  }

  getAllProcessIdWithoutModules(cb) {
    return settle(cb, async () => idsOf(await this.processes((proc) => proc.pm2_env?.pmx_module !== true)))
  }

  getProcessByName(name, cb) {
    return settle(cb, () => this.processes((proc) => isNamed(proc, name)))
  }

  getProcessByNameOrId(nameOrId, cb) {
    return settle(cb, () =>
      this.processes((proc) => isNamed(proc, nameOrId) || String(proc.pm_id) === String(nameOrId)),
    )
  }

  getProcessIdByName(name, force_all, cb) {
    return withDetails(callback(force_all, cb), () => this.processes((proc) => name === 'all' || isNamed(proc, name)))
  }

  getProcessIdsByNamespace(namespace, force_all, cb) {
    return withDetails(callback(force_all, cb), () => this.processes((proc) => proc.pm2_env?.namespace === namespace))
  }

  /**
   * @param {(proc: any) => boolean} filter
   * @returns {Promise<any[]>}
   */
  async processes(filter) {
    /** @type {any[]} */
    const list = await this.connection.run({ action: 'list' })
    return list.filter(filter)
  }
}

/**
 * @param {any} proc
 * @param {unknown} name
 */
function isNamed(proc, name) {
  if (proc.name === name) return true
  return typeof name === 'string' && proc.pm2_env?.pm_exec_path === require('node:path').resolve(name)
}

/** @param {any[]} list */
function idsOf(list) {
  return list.map((proc) => proc.pm_id)
}

/**
 * `(err, ids, {id: details})`; a promise gives the ids.
 * @param {unknown} cb
 * @param {() => Promise<any[]>} work
 */
function withDetails(cb, work) {
  const found = work()
  if (typeof cb !== 'function') return handled(found.then(idsOf))
  const done = /** @type {(...args: any[]) => void} */ (cb)
  found.then(
    (list) =>
      process.nextTick(done, null, idsOf(list), Object.fromEntries(list.map((proc) => [proc.pm_id, proc.pm2_env]))),
    (error) => process.nextTick(done, error),
  )
  return undefined
}

module.exports = { Client }
