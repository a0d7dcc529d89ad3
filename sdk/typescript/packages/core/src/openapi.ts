// Written by scripts/generate-sdk-types from docs/openapi.json. Edit that instead.

/** The JSON bodies of actions, by their paths under `/v1/`. */
export interface Wire {
    /** List the cities, oldest first. */
    "cities/list": { input: undefined; output: components["schemas"]["CityItems"] };
    /** Create a city. */
    "cities/create": { input: components["schemas"]["CitiesCreateIn"]; output: components["schemas"]["City"] };
    /** Pause a city: its tokens answer 403 and no new ones are issued. */
    "cities/pause": { input: components["schemas"]["CityIn"]; output: components["schemas"]["City"] };
    /** Activate a paused city: its tokens work again. */
    "cities/activate": { input: components["schemas"]["CityIn"]; output: components["schemas"]["City"] };
    /** Remove a city and end its tokens. */
    "cities/remove": { input: components["schemas"]["CityIn"]; output: components["schemas"]["CitiesRemoved"] };
    /** Issue a user_token for a user of an active city. */
    "cities/tokens/apply": { input: components["schemas"]["ApplyIn"]; output: components["schemas"]["IssuedToken"] };
    /** List the stored env values. */
    "env/list": { input: undefined; output: components["schemas"]["EnvEntryItems"] };
    /** List the env keys that services and models need, and which of them are set. */
    "env/catalog": { input: undefined; output: components["schemas"]["EnvScopeItems"] };
    /** Store an env value; it applies at once. */
    "env/upsert": { input: components["schemas"]["UpsertInput"]; output: components["schemas"]["Upserted"] };
    /** Remove an env value; one that is absent is no error. */
    "env/remove": { input: components["schemas"]["RemoveInput"]; output: components["schemas"]["EnvRemoved"] };
    /** Store every assignment of a .env text, or none. */
    "env/import": { input: components["schemas"]["ImportInput"]; output: components["schemas"]["Imported"] };
    /** Apply what was edited by hand in the database or the env file, and seal what stands in the database in the clear. */
    "env/refresh": { input: components["schemas"]["NoInput"]; output: components["schemas"]["Refreshed"] };
    /** List the mounted services and the env keys they read. */
    "services": { input: undefined; output: components["schemas"]["ServiceInfoItems"] };
    /** List the models that can be called now. */
    "ai/models": { input: undefined; output: components["schemas"]["ModelList"] };
    /** List the wallets, those first that were changed last. */
    "balance/users": { input: undefined; output: components["schemas"]["AccountItems"] };
    /** List changes of wallets, newest first. */
    "balance/history": { input: undefined; output: components["schemas"]["LedgerEntryItems"] };
    /** List top-ups, newest first. */
    "balance/topups": { input: undefined; output: components["schemas"]["TopupItems"] };
    /** List charges, newest first. */
    "balance/charges": { input: undefined; output: components["schemas"]["ChargeRecordItems"] };
    /** Give credits to a user. */
    "balance/add": { input: components["schemas"]["AddIn"]; output: components["schemas"]["Account"] };
    /** Take credits from a user; 402 when they are not available. */
    "balance/sub": { input: components["schemas"]["MoveIn"]; output: components["schemas"]["Account"] };
    /** Charge a user for something; 402 when the wallet does not cover it. */
    "balance/charge": { input: components["schemas"]["ChargeIn"]; output: components["schemas"]["ChargeRecord"] };
    /** A top-up is paid: credit it to its user. */
    "balance/topups/finish": { input: components["schemas"]["EndIn"]; output: components["schemas"]["Topup"] };
    /** Give up a top-up that is pending; nothing is credited. */
    "balance/topups/cancel": { input: components["schemas"]["EndIn"]; output: components["schemas"]["Topup"] };
    /** List redeem codes, newest first. */
    "balance/redeem-codes": { input: undefined; output: components["schemas"]["RedeemCodeItems"] };
    /** Make a redeem code; the answer is the only place that shows it. */
    "balance/redeem-codes/create": { input: components["schemas"]["CreateIn3"]; output: components["schemas"]["NewCode"] };
    /** Take back a redeem code that is active. */
    "balance/redeem-codes/disable": { input: components["schemas"]["DisableIn"]; output: components["schemas"]["RedeemCode"] };
    /** Redeem a code: its amount is credited to the caller. */
    "balance/redeem-codes/redeem": { input: components["schemas"]["RedeemIn"]; output: components["schemas"]["Redeemed"] };
    /** Say how much to buy; nothing is credited until it is paid. */
    "balance/topups/create": { input: components["schemas"]["BalanceCreateIn"]; output: components["schemas"]["Topup"] };
    /** Read the caller's wallet. */
    "balance/me": { input: undefined; output: components["schemas"]["OwnWallet"] };
    /** List the ways to pay, and which of them can be used. */
    "payment/methods": { input: undefined; output: components["schemas"]["MethodItems"] };
    /** Open a checkout for a pending top-up of the caller. */
    "payment/checkout/create": { input: components["schemas"]["PaymentCheckoutIn"]; output: components["schemas"]["Checkout"] };
    /** List all payments, newest first. */
    "payment/payments": { input: undefined; output: components["schemas"]["PaymentItems"] };
    /** List the caller's payments, newest first. */
    "payment/payments/me": { input: undefined; output: components["schemas"]["OwnPaymentItems"] };
    /** Register with an e-mail address and a password. */
    "accounts/register": { input: components["schemas"]["RegisterIn"]; output: components["schemas"]["Registered"] };
    /** Sign in to a city with an e-mail address and a password. */
    "accounts/login": { input: components["schemas"]["LoginIn"]; output: components["schemas"]["SignedIn"] };
    /** List the ways to sign in. */
    "accounts/providers": { input: undefined; output: components["schemas"]["ProviderRowItems"] };
    /** Begin to sign in with a provider: gives the page to open. */
    "accounts/oauth/start": { input: components["schemas"]["StartIn2"]; output: components["schemas"]["Started2"] };
    /** Ask whether somebody has signed in; gives the user_token once. */
    "accounts/oauth/result": { input: undefined; output: components["schemas"]["OauthResult"] };
    /** Read the caller's account. */
    "accounts/me": { input: undefined; output: components["schemas"]["Me"] };
    /** List the accounts, newest first, or find the one with an e-mail address. */
    "accounts/users": { input: undefined; output: components["schemas"]["UserRowItems"] };
    /** List the sessions, those that end last first. */
    "accounts/sessions": { input: undefined; output: components["schemas"]["SessionRowItems"] };
    /** Read what the caller used in this city. */
    "usage/me": { input: undefined; output: components["schemas"]["Mine"] };
}

/** Records, inputs and answers, by the names they have in the OpenAPI document. */
export interface components {
    schemas: {
        /** @description A wallet, its amounts in microcredits. */
        Account: {
            /** @description What can be spent. */
            available: components["schemas"]["Microcredits"];
            /** @description What it holds, reserved amounts included. */
            balance: components["schemas"]["Microcredits"];
            /** @description The balance in credits. */
            balance_credits: string;
            /** @description The city that it is for, in lists where a user has a wallet per city. */
            city_id?: string | null;
            /** @description When it was made. */
            created_at: components["schemas"]["Timestamp"];
            /** @description What of it is reserved. */
            held: components["schemas"]["Microcredits"];
            /** @description The unit of the amounts: always `microcredits`. */
            unit: string;
            /** @description When it last changed. */
            updated_at: components["schemas"]["Timestamp"];
            /** @description Whose it is. */
            user_id: string;
        };
        /** @description A list, or one page of it. */
        AccountItems: {
            /** @description The records. */
            items: components["schemas"]["Account"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description An amount in one of its two forms; a part of the input of actions that take one. */
        AddIn: {
            /**
             * Format: double
             * @description Credits: a number, or a decimal text such as `"12.5"`, above 0, with at most 6 decimals.
             *     Numbers are exact up to 999,999,999 credits; larger amounts are written as a text.
             * @default null
             */
            amount?: number | null;
            /**
             * Format: int64
             * @description The same as whole microcredits, in place of `amount`: 1 credit is 1,000,000.
             * @default null
             */
            amount_microcredits?: number | null;
            /**
             * @description The city; required where a user has a wallet per city.
             * @default null
             */
            city_id?: string | null;
            /**
             * @description When the credits end; without it they do not.
             * @default null
             */
            expires_at?: components["schemas"]["Timestamp"] | null;
            /**
             * @description Further facts, at most 8 KiB as JSON.
             * @default null
             */
            meta?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description A remark; trimmed, at most 500 characters.
             * @default null
             */
            note?: string | null;
            /**
             * @description A reference to something outside; trimmed, at most 200 characters.
             * @default null
             */
            ref?: string | null;
            /** @description Whose wallet. */
            user_id: string;
        };
        ApplyIn: {
            /** @description The city; it has to be active. */
            city_id: string;
            /**
             * @description What every call of the user carries.
             * @default null
             */
            metadata?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description How long the token lives; without it, as the Federation is configured.
             * @default null
             */
            ttl?: components["schemas"]["Ttl"] | null;
            /** @description The user; opaque to the Federation. Checked after the city. */
            user_id: string;
        };
        /** @description One request to a provider. */
        Attempt: {
            /**
             * Format: uint64
             * @description Milliseconds until the answer began, or failed to.
             */
            duration_ms: number;
            /** @description The name of the env key whose value was sent. For the trusted side only. */
            key?: string | null;
            /**
             * @description Whose value of the key was sent: `city` for the city's own, else `federation`. For the trusted
             *     side only.
             */
            key_of?: string | null;
            /**
             * @description `success`, `key_refused` (401), `forbidden` (402, 403), `rate_limited` (429), `failed` (408,
             *     5xx), `not_found` (404, 405: no such model or address there), `refused` (any other status),
             *     `unreachable`, `timed_out`, `unusable` (a value of the env cannot be sent), `unfit` (the provider
             *     has no words for the request), `unreadable` (a status of success without an answer), `bad_file`
             *     (what it made is none of what was asked for) or `canceled` (its client left before the answer
             *     began).
             */
            outcome: string;
            /** @description The provider. */
            provider: string;
            /**
             * Format: uint16
             * @description The status of the provider's answer, where there was one.
             */
            status?: number | null;
            /** @description The provider's own name of the model. */
            upstream_model: string;
        };
        /** @description An amount in one of its two forms; a part of the input of actions that take one. */
        BalanceCreateIn: {
            /**
             * Format: double
             * @description Credits: a number, or a decimal text such as `"12.5"`, above 0, with at most 6 decimals.
             *     Numbers are exact up to 999,999,999 credits; larger amounts are written as a text.
             * @default null
             */
            amount?: number | null;
            /**
             * Format: int64
             * @description The same as whole microcredits, in place of `amount`: 1 credit is 1,000,000.
             * @default null
             */
            amount_microcredits?: number | null;
            /**
             * @description Further facts, at most 8 KiB as JSON.
             * @default null
             */
            meta?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description A remark; trimmed, at most 500 characters.
             * @default null
             */
            note?: string | null;
            /**
             * @description A reference to something outside; trimmed, at most 200 characters.
             * @default null
             */
            ref?: string | null;
        };
        /** @description An amount in one of its two forms; a part of the input of actions that take one. */
        ChargeIn: {
            /**
             * Format: double
             * @description Credits: a number, or a decimal text such as `"12.5"`, above 0, with at most 6 decimals.
             *     Numbers are exact up to 999,999,999 credits; larger amounts are written as a text.
             * @default null
             */
            amount?: number | null;
            /**
             * Format: int64
             * @description The same as whole microcredits, in place of `amount`: 1 credit is 1,000,000.
             * @default null
             */
            amount_microcredits?: number | null;
            /**
             * @description The city; required where a user has a wallet per city.
             * @default null
             */
            city_id?: string | null;
            /**
             * @description Further facts, at most 8 KiB as JSON.
             * @default null
             */
            meta?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description Further facts, at most 8 KiB as JSON.
             * @default null
             */
            metadata?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description A remark; trimmed, at most 500 characters.
             * @default null
             */
            note?: string | null;
            /**
             * @description A reference to something outside; trimmed, at most 200 characters.
             * @default null
             */
            ref?: string | null;
            /** @description Whose wallet. */
            user_id: string;
        };
        /** @description What a user was charged for something. */
        ChargeRecord: {
            /**
             * Format: double
             * @description How much, in credits.
             */
            amount: number;
            /** @description How much, in microcredits. */
            amount_microcredits: components["schemas"]["Microcredits"];
            /** @description Unique id. */
            charge_id: string;
            /** @description Where; empty where no city was named. */
            city_id: string;
            /** @description When. */
            created_at: components["schemas"]["Timestamp"];
            /** @description The hold that it settled; empty where there was none. */
            hold_id: string;
            /** @description Further facts, as the text of a JSON object. */
            metadata_json: string;
            /** @description A remark. */
            note: string;
            /** @description A reference to something outside; the charge's own id where none was given. */
            ref: string;
            /** @description What of it was given back, in microcredits. */
            refunded_microcredits: components["schemas"]["Microcredits"];
            /** @description settled, unpaid or refunded. */
            status: string;
            /** @description The unit of `amount`: always `credits`. */
            unit: string;
            /** @description What of it the wallet could not pay, in microcredits. */
            unpaid_microcredits: components["schemas"]["Microcredits"];
            /** @description Who was charged. */
            user_id: string;
        };
        /** @description A list, or one page of it. */
        ChargeRecordItems: {
            /** @description The records. */
            items: components["schemas"]["ChargeRecord"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description A checkout: where the user pays. */
        Checkout: {
            /**
             * Format: int64
             * @description The price, in the smallest unit of the currency: cents of USD.
             */
            amount_minor: number;
            /** @description The page to send the user to. */
            checkout_url: string;
            /** @description ISO 4217 in lower case. */
            currency: string;
            /** @description When the checkout ends unless it is paid before. */
            expires_at: components["schemas"]["Timestamp"];
            /** @description Unique id. */
            payment_id: string;
            /** @description The provider: `stripe`, `creem`, `dodo` or `waffo`. */
            provider: string;
            /** @description The provider's id of the order. */
            provider_order_id: string;
            /** @description The provider's id of the payment. */
            provider_payment_id: string;
            /** @description The provider's id of the checkout; empty while unknown, as the next two. */
            provider_session_id: string;
            /** @description Where the payment stands. */
            status: components["schemas"]["PaymentStatus"];
            /** @description Whether no real money moves. */
            test: boolean;
            /** @description What is paid for. */
            topup_id: string;
        };
        CitiesCreateIn: {
            /**
             * @description The id; made when absent or blank. Letters, digits, `_`, `.` and `-`, at most 128.
             * @default null
             */
            city_id?: string | null;
            /** @description What people see; trimmed, at most 200 characters. */
            name: string;
        };
        CitiesRemoved: {
            /** @description Always `true`. */
            success: boolean;
        };
        /** @description One tenant of the Federation. All fields are always present. */
        City: {
            /** @description Unique id. */
            city_id: string;
            /** @description When it was created. */
            created_at: components["schemas"]["Timestamp"];
            /** @description Display name. */
            name: string;
            /** @description Whether its tokens work. */
            status: components["schemas"]["CityStatus"];
            /** @description When name or status last changed. */
            updated_at: components["schemas"]["Timestamp"];
        };
        /** @description An input that names a city. */
        CityIn: {
            /** @description The city. */
            city_id: string;
        };
        /** @description A list, or one page of it. */
        CityItems: {
            /** @description The records. */
            items: components["schemas"]["City"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description Whether a city's tokens work. */
        CityStatus: "active" | "paused";
        /** @description Where a redeem code stands. */
        CodeStatus: "active" | "redeemed" | "disabled";
        /** @description How credits and microcredits relate. */
        Conversion: {
            /**
             * Format: uint8
             * @description Decimals of a credit.
             */
            credit_decimals: number;
            /**
             * Format: int64
             * @description Microcredits in one credit.
             */
            microcredits_per_credit: number;
        };
        /** @description What a code is worth to whom. */
        CreateIn3: {
            /**
             * Format: double
             * @description Credits: a number, or a decimal text such as `"12.5"`, above 0, with at most 6 decimals.
             *     Numbers are exact up to 999,999,999 credits; larger amounts are written as a text.
             * @default null
             */
            amount?: number | null;
            /**
             * Format: int64
             * @description The same as whole microcredits, in place of `amount`: 1 credit is 1,000,000.
             * @default null
             */
            amount_microcredits?: number | null;
            /**
             * @description The city whose users may redeem it; users of every city unless given.
             * @default null
             */
            city_id?: string | null;
            /**
             * @description The code; made when absent.
             * @default null
             */
            code?: string | null;
            /**
             * @description How long after it was redeemed the credits end, such as `"30d"`.
             * @default null
             */
            credits_expire_after?: components["schemas"]["Span"] | null;
            /**
             * @description When the credits end that it gives; they do not end unless this or the next field is given.
             * @default null
             */
            credits_expire_at?: components["schemas"]["Timestamp"] | null;
            /**
             * @description When it can be redeemed no more.
             * @default null
             */
            expires_at?: components["schemas"]["Timestamp"] | null;
            /**
             * Format: int64
             * @description How often it can be redeemed: once unless said otherwise.
             * @default 1
             */
            max_uses?: number;
            /**
             * Format: int64
             * @description How often one user can redeem it: once unless said otherwise.
             * @default 1
             */
            max_uses_per_user?: number;
            /**
             * @description Further facts, at most 8 KiB as JSON.
             * @default null
             */
            meta?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description A remark; trimmed, at most 500 characters.
             * @default null
             */
            note?: string | null;
            /**
             * @description A reference to something outside; trimmed, at most 200 characters.
             * @default null
             */
            ref?: string | null;
        };
        /** @description Remark, reference and further facts as they were sent. */
        DisableIn: {
            /**
             * @description The city that it has to be of.
             * @default null
             */
            city_id?: string | null;
            /**
             * @description Further facts, at most 8 KiB as JSON.
             * @default null
             */
            meta?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description A remark; trimmed, at most 500 characters.
             * @default null
             */
            note?: string | null;
            /** @description The code's id. */
            redeem_code_id: string;
            /**
             * @description A reference to something outside; trimmed, at most 200 characters.
             * @default null
             */
            ref?: string | null;
        };
        /** @description Remark, reference and further facts as they were sent. */
        EndIn: {
            /**
             * @description The city that it has to be of.
             * @default null
             */
            city_id?: string | null;
            /**
             * @description Further facts, at most 8 KiB as JSON.
             * @default null
             */
            meta?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description A remark; trimmed, at most 500 characters.
             * @default null
             */
            note?: string | null;
            /**
             * @description A reference to something outside; trimmed, at most 200 characters.
             * @default null
             */
            ref?: string | null;
            /** @description The top-up. */
            topup_id: string;
        };
        /** @description One stored env value as `env/list` shows it. */
        EnvEntry: {
            /** @description The city whose own value it is; absent for the values of the Federation. */
            city_id?: string | null;
            /** @description Why the stored value cannot be opened; `value` is empty then. Absent for good values. */
            error?: string | null;
            /** @description Normalised key. */
            key: string;
            /**
             * @description When a call last read the value, to the second; `null` = never. Reads on other nodes show
             *     within twenty seconds.
             * @default null
             */
            last_read_at?: components["schemas"]["Timestamp"] | null;
            /**
             * @description Whether `value` is a mask that must not be written back.
             * @default false
             */
            masked?: boolean;
            /** @description Where the value comes from. */
            source: components["schemas"]["EnvSource"];
            /** @description The value, or its mask when `masked`. */
            value: string;
        };
        /** @description A list, or one page of it. */
        EnvEntryItems: {
            /** @description The records. */
            items: components["schemas"]["EnvEntry"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        EnvRemoved: {
            /** @description The city whose own value it is. */
            city_id?: string | null;
            /** @description The normalised key. */
            key: string;
            /** @description Whether there was a value. */
            removed: boolean;
            /** @description Always true. */
            success: boolean;
        };
        /** @description An env key that a service needs. */
        EnvRequirement: {
            /** @description What the value is for. */
            description: string;
            /** @description Normalised key. */
            key: string;
            /** @description Whether the service cannot work without it. */
            required: boolean;
        };
        /** @description An env key that a service needs, and whether it is set. */
        EnvRequirementState: {
            /** @description Whether a non-empty value is stored. */
            configured: boolean;
            /** @description What the value is for. */
            description: string;
            /** @description Normalised key. */
            key: string;
            /** @description Whether the service cannot work without it. */
            required: boolean;
            /** @description The mask of the value with at most its last four characters; absent when not configured. */
            value_preview?: string | null;
        };
        /** @description The env keys of one service, in the catalog. */
        EnvScope: {
            /** @description Its keys in declared order. */
            env: components["schemas"]["EnvRequirementState"][];
            /** @description Service id, or `ai-models` for the keys that models need. */
            id: string;
            /** @description Display name. */
            name: string;
        };
        /** @description A list, or one page of it. */
        EnvScopeItems: {
            /** @description The records. */
            items: components["schemas"]["EnvScope"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description Where an env value comes from. */
        EnvSource: "database" | "dotenv";
        Imported: {
            /** @description The city whose own values they are. */
            city_id?: string | null;
            /**
             * Format: uint
             * @description The number of assignments, duplicates included.
             */
            count: number;
            /** @description Their normalised keys in the order of the text. */
            keys: string[];
            /** @description Always true. */
            success: boolean;
            /**
             * @description The keys whose values could not be tested or have no effect yet, each with the reason; they are
             *     stored.
             */
            warnings?: components["schemas"]["ImportWarning"][];
        };
        ImportInput: {
            /**
             * @description The city whose own values they are, where they are not the Federation's.
             * @default null
             */
            city_id?: string | null;
            /** @description The text of a .env file. */
            raw?: string;
            /**
             * @description Whether to try values before they are stored, where a service knows how.
             * @default true
             */
            test?: boolean;
        };
        /** @description A value that could not be tested. */
        ImportWarning: {
            /** @description The normalised key. */
            key: string;
            /** @description Why the value could not be tested, or has no effect yet. */
            warning: string;
        };
        /** @description Answer of `cities/tokens/apply`. */
        IssuedToken: {
            /** @description The city it is for. */
            city_id: string;
            /** @description When it ends; `null` when it does not. Equal to its `exp` claim. */
            expires_at?: components["schemas"]["Timestamp"] | null;
            /** @description The user it is for. */
            user_id: string;
            /** @description The token; a credential, shown once. */
            user_token: string;
        };
        /** @description An API key of a model's upstream, as it is now. */
        KeyState: {
            /** @description Whether it has a value. */
            configured: boolean;
            /** @description The env key that holds it. */
            key: string;
            /** @description Whose value that is: `city` or `federation`; null without a value. */
            key_of?: string | null;
            /** @description The provider. */
            provider: string;
            /**
             * @description Until when this node leaves it alone, because its provider refused or limited it; null while it
             *     is used.
             */
            resting_until?: components["schemas"]["Timestamp"] | null;
        };
        /** @description One change of a balance. */
        LedgerEntry: {
            /** @description Who did it: admin, service:…, user, system or payment:…. */
            actor: string;
            /** @description By how much, in microcredits; negative for what was taken. */
            amount: components["schemas"]["Microcredits"];
            /** @description The amount in credits, as a decimal text. */
            amount_credits: string;
            /** @description What the wallet held then, in microcredits. */
            balance_after: components["schemas"]["Microcredits"];
            /** @description Where it happened; empty where no city was named. */
            city_id: string;
            /** @description When. */
            created_at: components["schemas"]["Timestamp"];
            /** @description Unique id. */
            entry_id: string;
            /** @description init, add, sub, topup, redeem, charge, refund or expire. */
            kind: string;
            /** @description Further facts, as the text of a JSON object. */
            metadata_json: string;
            /** @description A remark. */
            note: string;
            /** @description A reference to something outside. */
            ref: string;
            /**
             * Format: int64
             * @description Its number in its wallet, from 1.
             */
            seq: number;
            /** @description The unit of both amounts: always `microcredits`. */
            unit: string;
            /** @description Whose wallet it is in. */
            user_id: string;
        };
        /** @description A list, or one page of it. */
        LedgerEntryItems: {
            /** @description The records. */
            items: components["schemas"]["LedgerEntry"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description A row of the table of models that cannot be used. */
        LeftOutModel: {
            /** @description Its id. */
            id: string;
            /** @description What is wrong with it. */
            problem: string;
        };
        /** @description A model as callers see it. */
        ListedModel: {
            /** @description The modes of which it is the default. For the admin only. */
            default_modes?: components["schemas"]["Mode"][] | null;
            /** @description What it is good for. */
            description: string;
            /** @description The env keys that it needs. For the admin only. */
            env_requirements?: components["schemas"]["EnvRequirement"][] | null;
            /** @description Id to call it by. */
            id: string;
            /** @description The API keys of its upstreams, in the order in which they are asked. For the admin only. */
            keys?: components["schemas"]["KeyState"][] | null;
            /** @description Anything else to know about it. */
            meta: {
                [key: string]: unknown;
            };
            /** @description The env keys without a value that its upstreams need. For the admin only. */
            missing_env?: string[] | null;
            /** @description The modes it offers. */
            modalities: components["schemas"]["Mode"][];
            /** @description Name to show. */
            name: string;
            /** @description What a call costs, in microcredits; absent where calls are free. */
            price?: components["schemas"]["PriceConfig"] | null;
            /**
             * @description Whether it can be called now: one of its upstreams has everything that it needs. For the admin
             *     only.
             */
            ready?: boolean | null;
            /** @description Where it is defined: `configuration`, `table`, or `built-in`. For the admin only. */
            source?: string | null;
            /** @description Words to group models by. */
            tags: string[];
        };
        LoginIn: {
            /**
             * @description The city to sign in to.
             * @default null
             */
            city_id?: string;
            /**
             * @description The e-mail address.
             * @default null
             */
            email?: string;
            /** @description The password. */
            password?: string;
        };
        /** @description The caller and their account. */
        Me: {
            /** @description The account; `null` for users whose tokens come from elsewhere. */
            profile?: components["schemas"]["Profile"] | null;
            /** @description What the token says. */
            user: components["schemas"]["MeUser"];
        };
        /** @description A way to pay. */
        Method: {
            /** @description The action that opens a checkout. */
            action: string;
            /** @description ISO 4217 in lower case. */
            currency: string;
            /** @description Whether it can be used. */
            enabled: boolean;
            /** @description Its id, for `method_id`. */
            id: string;
            /** @description What people see. */
            label: string;
            /**
             * @description Why it cannot be used: `not_configured`, `not_supported` (a currency or setting that is not
             *     known) or `wrong_mode` (keys of the other mode).
             */
            reason?: string | null;
            /** @description Always `true`. */
            requires_user: boolean;
            /** @description The service that sells. */
            service: string;
            /** @description Whether no real money moves. */
            test?: boolean;
            /** @description Always `checkout`. */
            type: string;
        };
        /** @description A list, or one page of it. */
        MethodItems: {
            /** @description The records. */
            items: components["schemas"]["Method"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description What a token says. */
        MeUser: {
            /** @description What the issuer put into the token. */
            metadata: {
                [key: string]: unknown;
            };
            /** @description The user. */
            user_id: string;
        };
        /** @description Microcredits; 1 credit = 1,000,000 microcredits. */
        Microcredits: number;
        /** @description What a user used: a page of calls, and sums. */
        Mine: {
            /** @description The calls, newest first. */
            items: components["schemas"]["UsageEvent"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
            /** @description Sums of all calls that the filters leave, on this page or not. */
            summary: components["schemas"]["MySummary"];
        };
        /** @description A way to call a model: the route's last words on the wire. */
        Mode: "text" | "stream" | "openai" | "image" | "video" | "tts" | "asr" | "embeddings";
        /** @description The models, in the form of the Federation and in that of OpenAI. */
        ModelList: {
            /** @description The same models as OpenAI clients read them. */
            data: components["schemas"]["OpenAiModel"][];
            /** @description The models; the first one is the default of `text`. */
            items: components["schemas"]["ListedModel"][];
            /**
             * @description The rows of the table of models that are no models of the catalog. For the admin only; absent
             *     where there is none.
             */
            left_out?: components["schemas"]["LeftOutModel"][];
            /** @description Always `list`. */
            object: string;
        };
        /** @description An amount in one of its two forms; a part of the input of actions that take one. */
        MoveIn: {
            /**
             * Format: double
             * @description Credits: a number, or a decimal text such as `"12.5"`, above 0, with at most 6 decimals.
             *     Numbers are exact up to 999,999,999 credits; larger amounts are written as a text.
             * @default null
             */
            amount?: number | null;
            /**
             * Format: int64
             * @description The same as whole microcredits, in place of `amount`: 1 credit is 1,000,000.
             * @default null
             */
            amount_microcredits?: number | null;
            /**
             * @description The city; required where a user has a wallet per city.
             * @default null
             */
            city_id?: string | null;
            /**
             * @description Further facts, at most 8 KiB as JSON.
             * @default null
             */
            meta?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description A remark; trimmed, at most 500 characters.
             * @default null
             */
            note?: string | null;
            /**
             * @description A reference to something outside; trimmed, at most 200 characters.
             * @default null
             */
            ref?: string | null;
            /** @description Whose wallet. */
            user_id: string;
        };
        /** @description One day of a user. */
        MyDay: {
            /**
             * Format: int64
             * @description The mean of the durations, in milliseconds.
             */
            avg_duration_ms: number;
            /**
             * Format: int64
             * @description Input tokens served from a cache.
             */
            cached_tokens: number;
            /**
             * Format: int64
             * @description How many of them were left by their client.
             */
            canceled: number;
            /**
             * Format: int64
             * @description What the calls cost, in microcredits.
             */
            charge_microcredits: number;
            /**
             * Format: int64
             * @description How many calls there were.
             */
            count: number;
            /** @description The day in UTC, such as `2026-01-02`. */
            day: string;
            /**
             * Format: int64
             * @description How many of them failed.
             */
            errors: number;
            /**
             * Format: int64
             * @description Input tokens that were not served from a cache.
             */
            input_tokens: number;
            /**
             * Format: int64
             * @description Output tokens.
             */
            output_tokens: number;
        };
        /** @description Sums of a user's calls. */
        MySummary: {
            /**
             * Format: int64
             * @description The mean of the durations, in milliseconds.
             */
            avg_duration_ms: number;
            /**
             * Format: int64
             * @description Input tokens served from a cache.
             */
            cached_tokens: number;
            /**
             * Format: int64
             * @description How many of them were left by their client.
             */
            canceled: number;
            /**
             * Format: int64
             * @description What the calls cost, in microcredits.
             */
            charge_microcredits: number;
            /**
             * Format: int64
             * @description How many calls there were.
             */
            count: number;
            /** @description The same per day, the newest first; at most the last 31 days with calls. */
            days: components["schemas"]["MyDay"][];
            /**
             * Format: int64
             * @description How many of them failed.
             */
            errors: number;
            /**
             * Format: int64
             * @description Input tokens that were not served from a cache.
             */
            input_tokens: number;
            /**
             * Format: int64
             * @description Output tokens.
             */
            output_tokens: number;
        };
        /** @description A code that was just made. */
        NewCode: {
            /** @description How much each use credits, in microcredits. */
            amount: components["schemas"]["Microcredits"];
            /** @description The same amount in credits. */
            amount_credits: string;
            /** @description Shared by codes that were made together; empty for one that was made alone. */
            batch_id: string;
            /** @description The city whose users may redeem it; empty for users of every city. */
            city_id: string;
            /** @description The code: shown here and never again. */
            code: string;
            /** @description Its ends, by which people tell codes apart. */
            code_mask: string;
            /** @description When it was made. */
            created_at: components["schemas"]["Timestamp"];
            /**
             * Format: int64
             * @description How many seconds after it was redeemed the credits end.
             */
            credits_expire_after?: number | null;
            /** @description When the credits end that it gives. */
            credits_expire_at?: components["schemas"]["Timestamp"] | null;
            /** @description When it can be redeemed no more. */
            expires_at?: components["schemas"]["Timestamp"] | null;
            /**
             * Format: int64
             * @description How often it can be redeemed.
             */
            max_uses: number;
            /**
             * Format: int64
             * @description How often one user can redeem it.
             */
            max_uses_per_user: number;
            /** @description Further facts, as JSON text. What the one who redeemed it gave stands under `user`. */
            metadata_json: string;
            /** @description A remark. */
            note: string;
            /** @description Unique id. */
            redeem_code_id: string;
            /** @description When it was redeemed last; an empty text while it was not. */
            redeemed_at: string;
            /** @description The last user who redeemed it; empty while nobody has. */
            redeemed_by_user_id: string;
            /** @description A reference to something outside. */
            ref: string;
            /** @description Where it stands. */
            status: components["schemas"]["CodeStatus"];
            /** @description The unit of `amount`: always `microcredits`. */
            unit: string;
            /** @description When it last changed. */
            updated_at: components["schemas"]["Timestamp"];
            /**
             * Format: int64
             * @description How often it was redeemed.
             */
            uses: number;
        };
        /** @description The input of actions that take none; whatever fields are sent are ignored. */
        NoInput: Record<string, never>;
        /** @description How far a sign-in has come. */
        OauthResult: {
            /** @description The city that the token is for. */
            city_id?: string | null;
            /** @description When the token ends. */
            expires_at?: components["schemas"]["Timestamp"] | null;
            /** @description The provider that was linked to the caller's account. */
            linked?: string | null;
            /** @description `pending`, or `done`. */
            status: string;
            /** @description The user. */
            user_id?: string | null;
            /** @description The credential for the calls of this user; not there when a provider was linked. */
            user_token?: string | null;
        };
        /** @description A model as OpenAI clients read it. */
        OpenAiModel: {
            /**
             * Format: int64
             * @description Always 0: when a model was made is not known.
             */
            created: number;
            /** @description Id to call it by. */
            id: string;
            /** @description Always `model`. */
            object: string;
            /** @description Always `downcity`: providers are the operator's matter. */
            owned_by: string;
        };
        /** @description A payment as its user sees it. */
        OwnPayment: {
            /** @description What is bought, in microcredits (1 credit = 1,000,000). */
            amount: components["schemas"]["Microcredits"];
            /**
             * Format: int64
             * @description The price, in the smallest unit of the currency: cents of USD.
             */
            amount_minor: number;
            /** @description The page to send the user to. */
            checkout_url: string;
            /** @description When it was made. */
            created_at: components["schemas"]["Timestamp"];
            /** @description ISO 4217 in lower case. */
            currency: string;
            /** @description When the checkout ends unless it is paid before. */
            expires_at: components["schemas"]["Timestamp"];
            /** @description Unique id. */
            payment_id: string;
            /** @description The provider: `stripe`, `creem`, `dodo` or `waffo`. */
            provider: string;
            /** @description The provider's id of the order. */
            provider_order_id: string;
            /** @description The provider's id of the payment. */
            provider_payment_id: string;
            /** @description The provider's id of the checkout; empty while unknown, as the next two. */
            provider_session_id: string;
            /** @description What of it was given back, in microcredits. */
            refunded: components["schemas"]["Microcredits"];
            /** @description Where the payment stands. */
            status: components["schemas"]["PaymentStatus"];
            /** @description Whether no real money moves. */
            test: boolean;
            /** @description What is paid for. */
            topup_id: string;
            /** @description When it last changed. */
            updated_at: components["schemas"]["Timestamp"];
            /** @description Who pays. */
            user_id: string;
        };
        /** @description A list, or one page of it. */
        OwnPaymentItems: {
            /** @description The records. */
            items: components["schemas"]["OwnPayment"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description A wallet as its user sees it: amounts are credits. */
        OwnWallet: {
            /** @description What can be spent, in microcredits. */
            available_microcredits: components["schemas"]["Microcredits"];
            /**
             * Format: double
             * @description What it holds, in credits, reserved amounts included.
             */
            balance: number;
            /** @description How the units relate. */
            conversion: components["schemas"]["Conversion"];
            /** @description When it was made; of a wallet before its first use, now. */
            created_at: components["schemas"]["Timestamp"];
            /** @description The balance as people read it, such as `53.4998`. */
            display: string;
            /** @description What of it is reserved for calls under way, in microcredits. */
            held_microcredits: components["schemas"]["Microcredits"];
            /** @description What it holds, in microcredits. */
            microcredits: components["schemas"]["Microcredits"];
            /** @description The unit of `balance`: always `credits`. */
            unit: string;
            /** @description When it was last changed. */
            updated_at: components["schemas"]["Timestamp"];
            /** @description Whose it is. */
            user_id: string;
        };
        /** @description A payment as the trusted side sees it. */
        Payment: {
            /** @description What is bought, in microcredits (1 credit = 1,000,000). */
            amount: components["schemas"]["Microcredits"];
            /**
             * Format: int64
             * @description The price, in the smallest unit of the currency: cents of USD.
             */
            amount_minor: number;
            /** @description The page to send the user to. */
            checkout_url: string;
            /** @description The city in which it was made. */
            city_id: string;
            /** @description When it was made. */
            created_at: components["schemas"]["Timestamp"];
            /** @description The top-up that was credited: another than `topup_id` where that was paid already. Empty before. */
            credited_topup_id: string;
            /** @description ISO 4217 in lower case. */
            currency: string;
            /** @description When the checkout ends unless it is paid before. */
            expires_at: components["schemas"]["Timestamp"];
            /** @description What went wrong last; empty where nothing did. */
            last_error: string;
            /** @description Further facts, as JSON text. */
            metadata_json: string;
            /** @description In which currency; empty before. */
            paid_currency: string;
            /**
             * Format: int64
             * @description What was paid, in the smallest unit; 0 before.
             */
            paid_minor: number;
            /** @description Unique id. */
            payment_id: string;
            /** @description The provider: `stripe`, `creem`, `dodo` or `waffo`. */
            provider: string;
            /** @description The provider's id of the order. */
            provider_order_id: string;
            /** @description The provider's id of the payment. */
            provider_payment_id: string;
            /** @description The provider's id of the checkout; empty while unknown, as the next two. */
            provider_session_id: string;
            /** @description What of it was given back, in microcredits. */
            refunded: components["schemas"]["Microcredits"];
            /**
             * Format: int64
             * @description What went back, in the smallest unit.
             */
            refunded_minor: number;
            /** @description Where the payment stands. */
            status: components["schemas"]["PaymentStatus"];
            /** @description Whether no real money moves. */
            test: boolean;
            /** @description What is paid for. */
            topup_id: string;
            /** @description When it last changed. */
            updated_at: components["schemas"]["Timestamp"];
            /** @description Who pays. */
            user_id: string;
        };
        /** @description What opens a checkout. */
        PaymentCheckoutIn: {
            /**
             * @description Where to lead a user who leaves the checkout.
             * @default null
             */
            cancel_url?: string | null;
            /**
             * @description The id of a payment method; the only enabled one when absent.
             * @default null
             */
            method_id?: string | null;
            /**
             * @description Another name of `method_id`.
             * @default null
             */
            provider?: string | null;
            /**
             * @description Where to lead the user after paying, in place of a page of this server. Its origin has to be allowed for the
             *     city.
             * @default null
             */
            success_url?: string | null;
            /** @description What to pay for: a pending top-up of the caller. */
            topup_id: string;
        };
        /** @description A list, or one page of it. */
        PaymentItems: {
            /** @description The records. */
            items: components["schemas"]["Payment"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description Where a payment stands. */
        PaymentStatus: "creating" | "pending" | "paid" | "review" | "refunded" | "disputed" | "expired" | "failed" | "canceled";
        /**
         * @description What a call costs the user, in whole microcredits (1 credit = 1,000,000).
         *
         *     A flat price (`per_mode`, else `per_request`) is the price of a request whatever it consumes; the
         *     other prices but `minimum` then do not count. Without one, what is consumed is added up and
         *     rounded up once per request.
         */
        PriceConfig: {
            /** @description For 1,000,000 cached input tokens; without it `input_per_m`. */
            cached_per_m?: components["schemas"]["Microcredits"] | null;
            /** @description For 1,000,000 input tokens that were not cached. */
            input_per_m?: components["schemas"]["Microcredits"] | null;
            /** @description The least that a request costs. */
            minimum?: components["schemas"]["Microcredits"] | null;
            /** @description For 1,000,000 output tokens. */
            output_per_m?: components["schemas"]["Microcredits"] | null;
            /** @description For each image made. */
            per_image?: components["schemas"]["Microcredits"] | null;
            /** @description For each request of a mode, in place of `per_request`. */
            per_mode?: {
                [key: string]: components["schemas"]["Microcredits"];
            };
            /** @description For each request, whatever it consumes. */
            per_request?: components["schemas"]["Microcredits"] | null;
            /** @description For each second of video or audio, made or heard. */
            per_second?: components["schemas"]["Microcredits"] | null;
        };
        /** @description What is shown of an account. */
        Profile: {
            /** @description The address of a picture; may be empty. */
            avatar_url: string;
            /** @description What the user says of themselves; may be empty. */
            bio: string;
            /** @description When the account was made. */
            created_at: components["schemas"]["Timestamp"];
            /** @description The name that others see. */
            display_name: string;
            /** @description The e-mail address; a placeholder where the provider gave none. */
            email: string;
            /** @description Whether the address is known to be the user's. */
            email_verified: boolean;
            /** @description When the profile was changed last. */
            updated_at: components["schemas"]["Timestamp"];
            /** @description The user. */
            user_id: string;
        };
        /** @description A way to sign in. */
        ProviderRow: {
            /** @description Whether it can be used. */
            enabled: boolean;
            /** @description `email`, `github`, `google` or `wechat`. */
            id: string;
            /** @description For `email`: whether one can sign in. */
            login_enabled?: boolean | null;
            /** @description Why not. */
            reason?: string | null;
            /** @description For `email`: whether one can register. */
            register_enabled?: boolean | null;
            /** @description `password` or `oauth`. */
            type: string;
        };
        /** @description A list, or one page of it. */
        ProviderRowItems: {
            /** @description The records. */
            items: components["schemas"]["ProviderRow"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /**
         * @description A code that credits whoever redeems it. The code itself is not part of it: it is shown once, by
         *     the answer that made it.
         */
        RedeemCode: {
            /** @description How much each use credits, in microcredits. */
            amount: components["schemas"]["Microcredits"];
            /** @description The same amount in credits. */
            amount_credits: string;
            /** @description Shared by codes that were made together; empty for one that was made alone. */
            batch_id: string;
            /** @description The city whose users may redeem it; empty for users of every city. */
            city_id: string;
            /** @description Its ends, by which people tell codes apart. */
            code_mask: string;
            /** @description When it was made. */
            created_at: components["schemas"]["Timestamp"];
            /**
             * Format: int64
             * @description How many seconds after it was redeemed the credits end.
             */
            credits_expire_after?: number | null;
            /** @description When the credits end that it gives. */
            credits_expire_at?: components["schemas"]["Timestamp"] | null;
            /** @description When it can be redeemed no more. */
            expires_at?: components["schemas"]["Timestamp"] | null;
            /**
             * Format: int64
             * @description How often it can be redeemed.
             */
            max_uses: number;
            /**
             * Format: int64
             * @description How often one user can redeem it.
             */
            max_uses_per_user: number;
            /** @description Further facts, as JSON text. What the one who redeemed it gave stands under `user`. */
            metadata_json: string;
            /** @description A remark. */
            note: string;
            /** @description Unique id. */
            redeem_code_id: string;
            /** @description When it was redeemed last; an empty text while it was not. */
            redeemed_at: string;
            /** @description The last user who redeemed it; empty while nobody has. */
            redeemed_by_user_id: string;
            /** @description A reference to something outside. */
            ref: string;
            /** @description Where it stands. */
            status: components["schemas"]["CodeStatus"];
            /** @description The unit of `amount`: always `microcredits`. */
            unit: string;
            /** @description When it last changed. */
            updated_at: components["schemas"]["Timestamp"];
            /**
             * Format: int64
             * @description How often it was redeemed.
             */
            uses: number;
        };
        /** @description A list, or one page of it. */
        RedeemCodeItems: {
            /** @description The records. */
            items: components["schemas"]["RedeemCode"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        Redeemed: {
            /** @description The wallet afterwards. */
            account: components["schemas"]["Account"];
            /** @description The code. */
            redeem_code: components["schemas"]["RedeemCode"];
        };
        /** @description Remark, reference and further facts as they were sent. */
        RedeemIn: {
            /** @description The code. */
            code: string;
            /**
             * @description Further facts, at most 8 KiB as JSON.
             * @default null
             */
            meta?: {
                [key: string]: unknown;
            } | null;
            /**
             * @description A remark; trimmed, at most 500 characters.
             * @default null
             */
            note?: string | null;
            /**
             * @description A reference to something outside; trimmed, at most 200 characters.
             * @default null
             */
            ref?: string | null;
        };
        Refreshed: {
            /**
             * Format: uint
             * @description The number of values that now apply.
             */
            count: number;
            /** @description Always true. */
            success: boolean;
        };
        /** @description What came of a registration. */
        Registered: {
            /** @description The city that the token is for. */
            city_id?: string | null;
            /** @description The address in its normal form. */
            email?: string | null;
            /** @description When the token ends. */
            expires_at?: components["schemas"]["Timestamp"] | null;
            /** @description That a mail was sent, where one was. */
            message?: string | null;
            /** @description Always `true`. */
            success: boolean;
            /** @description The new user. */
            user_id?: string | null;
            /** @description The credential for the calls of this user, when a city was named. */
            user_token?: string | null;
            /** @description `true` where nobody signs in before the address is verified. */
            verification_required?: boolean | null;
        };
        RegisterIn: {
            /**
             * @description The city to sign in to.
             * @default null
             */
            city_id?: string | null;
            /**
             * @description The e-mail address.
             * @default null
             */
            email?: string;
            /**
             * @description What people see; without it the part of the address before the `@`.
             * @default null
             */
            name?: string | null;
            /** @description The password: 8 to 128 characters. */
            password?: string;
        };
        RemoveInput: {
            /**
             * @description The city whose own value it is, where it is not the Federation's.
             * @default null
             */
            city_id?: string | null;
            /** @description The key, in any case. */
            key: string;
        };
        /** @description A mounted service, as `GET /v1/services` lists it. */
        ServiceInfo: {
            /**
             * @description The env keys it needs; empty when it needs none.
             * @default []
             */
            env?: components["schemas"]["EnvRequirement"][];
            /** @description Service id; the segment after `/v1/`. */
            id: string;
            /** @description Display name. */
            name: string;
        };
        /** @description A list, or one page of it. */
        ServiceInfoItems: {
            /** @description The records. */
            items: components["schemas"]["ServiceInfo"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description One session. */
        SessionRow: {
            /** @description From where it began. */
            address?: string | null;
            /** @description The city that it is for. */
            city_id: string;
            /** @description When it began. */
            created_at: components["schemas"]["Timestamp"];
            /** @description `true` for the session of this call. */
            current?: boolean | null;
            /** @description When it ends. */
            expires_at: components["schemas"]["Timestamp"];
            /** @description How it began: `credential`, `magic_link`, `code`, or a provider. */
            method: string;
            /** @description The id; the token's `jti`. */
            session_id: string;
            /** @description `active` or `expired`. */
            status: string;
            /** @description With what it began. */
            user_agent?: string | null;
            /** @description Whose it is. */
            user_id: string;
        };
        /** @description A list, or one page of it. */
        SessionRowItems: {
            /** @description The records. */
            items: components["schemas"]["SessionRow"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description A user who has signed in. */
        SignedIn: {
            /** @description The city that the token is for. */
            city_id: string;
            /** @description The e-mail address of the account. */
            email: string;
            /** @description When the token ends. */
            expires_at?: components["schemas"]["Timestamp"] | null;
            /** @description The user. */
            user_id: string;
            /** @description The credential for the calls of this user. */
            user_token: string;
        };
        /** Format: duration */
        Span: string | number;
        /** @description A sign-in that has begun. */
        Started2: {
            /**
             * Format: uint64
             * @description Seconds until the sign-in and its result end.
             */
            expires_in: number;
            /** @description The provider. */
            provider: string;
            /** @description What `oauth/result` is asked with. Keep it: it is the only way to the result. */
            state: string;
            /** @description The provider's page, to be opened in a browser. */
            url: string;
            /** @description What the page that asks for confirmation shows too, for people to compare. */
            user_code: string;
        };
        StartIn2: {
            /**
             * @description The city to sign in to.
             * @default null
             */
            city_id?: string;
            /**
             * @description Adds the provider to the caller's account, in place of signing somebody in. Needs a user_token.
             * @default null
             */
            link?: boolean | null;
            /**
             * @description `github`, `google` or `wechat`.
             * @default null
             */
            provider?: string;
            /**
             * @description Where the browser goes at the end, in place of a page of this server: one of the addresses
             *     that `accounts.return_urls` lists for the city.
             * @default null
             */
            return_url?: string | null;
        };
        /**
         * Format: date-time
         * @description RFC 3339 in UTC with milliseconds.
         * @example 2026-01-02T03:04:05.678Z
         */
        Timestamp: string;
        /** @description A purchase of credits: pending until it is paid or given up. */
        Topup: {
            /** @description How much, in microcredits. */
            amount: components["schemas"]["Microcredits"];
            /** @description The same amount in credits. */
            amount_credits: string;
            /**
             * Format: int64
             * @description The same amount in US cents, which is what is paid.
             */
            amount_usd_cents: number;
            /** @description The city in which it was made. */
            city_id: string;
            /** @description When it was made. */
            created_at: components["schemas"]["Timestamp"];
            /** @description When it is canceled unless it is paid before. */
            expires_at: components["schemas"]["Timestamp"];
            /** @description Further facts, as JSON text. What the user gave stands under `user`. */
            metadata_json: string;
            /** @description A remark. */
            note: string;
            /** @description A reference to something outside, such as a payment. */
            ref: string;
            /** @description Where it stands. */
            status: components["schemas"]["TopupStatus"];
            /** @description Unique id. */
            topup_id: string;
            /** @description The unit of `amount`: always `microcredits`. */
            unit: string;
            /** @description When it last changed. */
            updated_at: components["schemas"]["Timestamp"];
            /** @description Whose wallet it is for. */
            user_id: string;
        };
        /** @description A list, or one page of it. */
        TopupItems: {
            /** @description The records. */
            items: components["schemas"]["Topup"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
        /** @description Where a top-up stands. */
        TopupStatus: "pending" | "paid" | "canceled";
        /** @description Seconds, or digits with one of s, m, h, d; at most 100 years. */
        Ttl: number | string;
        Upserted: {
            /** @description The city whose own value it is. */
            city_id?: string | null;
            /** @description The normalised key. */
            key: string;
            /** @description Always true. */
            success: boolean;
            /** @description Why the value could not be tested, or has no effect yet; it is stored. */
            warning?: string | null;
        };
        UpsertInput: {
            /**
             * @description The city whose own value it is, where it is not the Federation's.
             * @default null
             */
            city_id?: string | null;
            /** @description The key, in any case. */
            key: string;
            /**
             * @description Whether to try the value before it is stored, where a service knows how.
             * @default true
             */
            test?: boolean;
            /** @description The value; what is no string is stored as its text, null as empty text. */
            value?: string | number | boolean | null;
        };
        /** @description One recorded call. */
        UsageEvent: {
            /** @description The action's path within its service. */
            action: string;
            /** @description Each request that an AI call made to a provider, in order; absent where there was none. */
            attempts?: components["schemas"]["Attempt"][];
            /**
             * Format: int64
             * @description Seconds of audio.
             */
            audio_seconds?: number | null;
            /**
             * Format: int64
             * @description Input tokens served from the provider's cache.
             */
            cached_tokens?: number | null;
            /** @description The charge of the call, where it was billed. */
            charge_id?: string | null;
            /**
             * Format: int64
             * @description What the call cost, in microcredits (1 credit = 1,000,000).
             */
            charge_microcredits: number;
            /** @description The user's city. */
            city_id: string;
            /** @description The code of the error. */
            code?: string | null;
            /** @description When the record was stored. */
            created_at: components["schemas"]["Timestamp"];
            /**
             * Format: int64
             * @description Milliseconds until the answer was complete.
             */
            duration_ms: number;
            /** @description When the answer ended. */
            ended_at: components["schemas"]["Timestamp"];
            /** @description The sentence of the error, without credentials, at most 500 characters. Users see the code. */
            error?: string | null;
            /** @description The id of the record. */
            event_id: string;
            /**
             * Format: int64
             * @description Milliseconds until the first byte of the answer, where they were measured.
             */
            first_byte_ms?: number | null;
            /** @description The hold that covered the call, where it was billed. */
            hold_id?: string | null;
            /**
             * Format: int64
             * @description The status of the answer; 499 when the client left before it began.
             */
            http_status: number;
            /**
             * Format: int64
             * @description Images produced.
             */
            image_count?: number | null;
            /**
             * Format: int64
             * @description Input tokens that were not served from a cache.
             */
            input_tokens?: number | null;
            /**
             * @description A JSON object with `started_at`, `ended_at`, `variant` (the model) and `error` (the code), as
             *     older clients read it.
             */
            metadata_json: string;
            /** @description The kind of an AI call, such as `text` or `stream`. */
            mode?: string | null;
            /** @description The model that answered; empty for calls that are not about one. */
            model_id: string;
            /**
             * Format: int64
             * @description Output tokens.
             */
            output_tokens?: number | null;
            /** @description The provider that did the work; empty for calls that need none. */
            provider_id: string;
            /** @description The id of the request. */
            request_id: string;
            /** @description The id of the service. */
            service: string;
            /** @description When the request arrived. */
            started_at: components["schemas"]["Timestamp"];
            /**
             * @description `success`, `error` (a status of 400 or more, or an answer that broke off) or `canceled` (its
             *     client left before the end).
             */
            status: string;
            /** @description Whether the answer was streamed. */
            streamed: boolean;
            /** @description The provider's own name of the model. */
            upstream_model: string;
            /** @description The user. */
            user_id: string;
            /**
             * Format: int64
             * @description Seconds of video.
             */
            video_seconds?: number | null;
        };
        /** @description One account. */
        UserRow: {
            /** @description As `created_at`. */
            auth_created_at: components["schemas"]["Timestamp"];
            /** @description As `email`. */
            auth_email: string;
            /** @description The picture that the provider gave. */
            auth_image?: string | null;
            /** @description As `name`. */
            auth_name: string;
            /** @description When the account was changed last. */
            auth_updated_at: components["schemas"]["Timestamp"];
            /** @description The address of a picture; may be empty. */
            avatar_url: string;
            /** @description What the user says of themselves; may be empty. */
            bio: string;
            /** @description When the account was made. */
            created_at: components["schemas"]["Timestamp"];
            /** @description The name that others see. */
            display_name: string;
            /** @description The e-mail address. */
            email: string;
            /**
             * Format: uint8
             * @description 1 when the address is known to be the user's, else 0.
             */
            email_verified: number;
            /** @description The name that was given at registration. */
            name: string;
            /** @description When the profile was made. */
            profile_created_at: components["schemas"]["Timestamp"];
            /** @description As `email`. */
            profile_email: string;
            /** @description When the profile was changed last. */
            profile_updated_at: components["schemas"]["Timestamp"];
            /** @description `active` or `disabled`. */
            status: string;
            /** @description The user. */
            user_id: string;
        };
        /** @description A list, or one page of it. */
        UserRowItems: {
            /** @description The records. */
            items: components["schemas"]["UserRow"][];
            /** @description Send it as `cursor` to read on; absent on the last page. */
            next_cursor?: string | null;
        };
    };
}
