/** Whether two types are the same. */
export type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles with `true` when the types are the same, and with `false` when they are not. */
export declare function same<A, B>(_: Equal<A, B>): void;
