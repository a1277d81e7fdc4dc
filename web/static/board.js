/**
 * The state that panels draw: the newest table, sample and status, and whether they are fresh.
 *
 * @typedef {object} Cell
 * @property {number} maf_v
 * @property {number | null} flow_gs
 * @property {number | null} correction_pct
 * @property {number | null} stderr_pct
 * @property {[number, number] | null} ci95_pct
 * @property {number} hits
 * @property {number | null} effective_hits
 * @property {"measured" | "weak" | "interpolated" | "empty" | "locked"} state
 * @property {number | null} proposed_gs
 *
 * @typedef {object} DataWarning
 * @property {string} code
 * @property {string} message
 * @property {boolean} blocks_flash
 *
 * @typedef {object} StoreNotice
 * @property {string} code
 * @property {string} message
 * @property {undefined} [blocks_flash]
 *
 * @typedef {object} DriveNext
 * @property {[number, number]} maf_v
 * @property {[number, number] | null} flow_gs
 * @property {[number, number] | null} rpm
 * @property {[number, number] | null} load_g_rev
 * @property {number} gain
 *
 * @typedef {object} HeldOut
 * @property {number} rms_pct
 * @property {number} rms_uncorrected_pct
 * @property {number} rms_nearest_pct
 * @property {boolean} passed
 *
 * @typedef {object} Table
 * @property {number} revision
 * @property {string} estimator
 * @property {{name: string, revision: number}} maf_table
 * @property {number} epoch
 * @property {number | null} session
 * @property {{seen: number, pending: number, accepted: number}} samples
 * @property {DataWarning[]} warnings
 * @property {number | null} lag_s
 * @property {HeldOut | null} held_out
 * @property {DriveNext[]} drive_next
 * @property {Cell[]} cells
 *
 * @typedef {object} Link
 * @property {string} state
 * @property {string} words
 * @property {string} driver
 * @property {number} reconnects
 * @property {number} since_s
 * @property {{state: string, words: string, age_s: number}[]} [history]
 *
 * @typedef {object} Live
 * @property {number | null} t_s
 * @property {Record<string, number | null>} values
 * @property {number | null} cell
 * @property {string | null} verdict
 * @property {string} [verdict_words]
 * @property {boolean} [provisional]
 * @property {Link} link
 *
 * @typedef {object} Status
 * @property {string} version
 * @property {number} uptime_s
 * @property {Link} link
 * @property {number | null} session
 * @property {number | null} sample_rate_hz
 * @property {number | null} last_sample_age_s
 * @property {{verdict: string, words: string, count: number}[]} verdicts
 * @property {number | null} nothing_accepted_s
 * @property {string | null} nothing_accepted_because
 * @property {Link | null} second_link
 * @property {{notices?: StoreNotice[], database?: string, database_bytes?: number, samples_dropped?: number}} storage
 * @property {boolean} healthy
 * @property {string | null} unhealthy_because
 * @property {{error_pct: number[], rmse_pct: number | null, cells: number} | null} truth
 */

/** After this long without an event what is shown is no longer true. */
export const STALE_AFTER_MS = 3000;

/** A sample older than this is not shown as of now, s; slow adapters give one in a second or two. */
const OLD_SAMPLE_S = 5;

/** A cold engine idles up to this, 1/min; above it the car is taken to move where no speed is read. */
export const FAST_IDLE_RPM = 1800;

/** More air than an engine idles with, g/s. */
const IDLE_FLOW_GS = 12;

const TRAIL_CELLS = 5;
const TRAIL_MS = 6000;

export class Board {
  /** @type {Table | null} */
  table = null;
  /** @type {Live | null} */
  live = null;
  /** @type {Status | null} */
  status = null;

  /** Time of the newest event, ms as of `performance.now()`. */
  #heardAt = performance.now();
  /** Cells that were hit last, the newest first. @type {{cell: number, at: number}[]} */
  #trail = [];
  /** Cell whose details are shown, null without one. @type {number | null} */
  chosen = null;

  /**
   * Takes one event of the stream.
   * @param {"table" | "live" | "status"} kind
   * @param {any} document
   */
  take(kind, document) {
    this[kind] = document;
    this.#heardAt = performance.now();
    if (kind === "live" && document.cell !== null && document.cell !== this.#trail[0]?.cell) {
      this.#trail = [{ cell: document.cell, at: this.#heardAt }, ...this.#trail].slice(0, TRAIL_CELLS + 1);
    }
  }

  /** Cells that were hit in the last seconds before the current one, the newest first. */
  get trail() {
    const now = performance.now();
    const [current, ...before] = this.#trail;
    return before.filter((hit) => now - hit.at < TRAIL_MS && hit.cell !== current.cell).map((hit) => hit.cell);
  }

  /** Milliseconds since the newest event. */
  get age() {
    return performance.now() - this.#heardAt;
  }

  /** Whether what is shown may no longer be true. */
  get stale() {
    return this.age > STALE_AFTER_MS;
  }

  /**
   * Whether values are those of this moment: the daemon speaks, the link is up and samples come. A
   * value of before a pause must not look like one of now.
   */
  get fresh() {
    return !this.stale && this.link?.state === "running" && (this.status?.last_sample_age_s ?? 0) <= OLD_SAMPLE_S;
  }

  /** Whether the car is the simulated one, which alone has a known error. */
  get simulated() {
    return (this.status?.truth ?? null) !== null || this.link?.driver === "simulator";
  }

  /** The link to the car; the `live` event has it sooner than the `status`. */
  get link() {
    return this.live?.link ?? this.status?.link ?? null;
  }

  /**
   * Whether the car moves, so that nothing may be asked of the driver: by its speed; where no speed is
   * read, by an engine above a fast idle; where no engine speed is read either, by the air flow.
   */
  get moving() {
    const { speed_kmh: speed, rpm, maf_gs: flow } = this.live?.values ?? {};
    if (!this.fresh) {
      return false;
    }
    return speed != null ? speed > 0 : rpm != null ? rpm > FAST_IDLE_RPM : (flow ?? 0) > IDLE_FLOW_GS;
  }
}
