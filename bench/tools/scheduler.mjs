// One share of the processors for everybody, while something is measured.

import { readFileSync, writeFileSync } from 'node:fs'

const SETTING = '/proc/sys/kernel/sched_autogroup_enabled'

/**
 * Does `work` while the scheduler knows no groups by session, as it is in a container and in a service of systemd. With them the
 * load generator has a third of the processors beside two workers in sessions of their own, and half of them beside the two
 * of Node's primary, which share its session: a difference of some percent either way that no primary has made.
 *
 * It is a setting of the whole machine, so it is put back at once afterwards. Who may not change it measures as it is.
 */
export async function inOneGroup(work) {
  if (setting() !== '1') return work()
  try {
    writeFileSync(SETTING, '0')
  } catch (error) {
    console.error(`the scheduler goes on sharing time out by session, which counts for some percent: ${error.message}`)
    return work()
  }
  const putBack = () => writeFileSync(SETTING, '1')
  process.once('exit', putBack)
  try {
    return await work()
  } finally {
    process.off('exit', putBack)
    putBack()
  }
}

function setting() {
  try {
    return readFileSync(SETTING, 'latin1').trim()
  } catch {
    return undefined // A kernel without such groups.
  }
}
