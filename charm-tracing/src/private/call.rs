//! Calls a traced function's body, which the expansion puts in a closure.
//!
//! The bound is what matters: `FnOnce` lets the closure give back what it borrows from a captured
//! `&mut self`, and the arguments before it tell it its own types.

macro_rules! calls {
    ($($call:ident($($argument:ident: $Type:ident),*);)*) => {$(
        #[doc = "Calls `body` with the arguments in front of it."]
        #[inline]
        #[allow(clippy::too_many_arguments, reason = "as many as the traced function has")]
        pub fn $call<$($Type,)* R>($($argument: $Type,)* body: impl FnOnce($($Type),*) -> R) -> R {
            body($($argument),*)
        }
    )*};
}

calls! {
    call_0();
    call_1(a0: A0);
    call_2(a0: A0, a1: A1);
    call_3(a0: A0, a1: A1, a2: A2);
    call_4(a0: A0, a1: A1, a2: A2, a3: A3);
    call_5(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4);
    call_6(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5);
    call_7(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6);
    call_8(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7);
    call_9(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7, a8: A8);
    call_10(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7, a8: A8, a9: A9);
    call_11(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7, a8: A8, a9: A9, a10: A10);
    call_12(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7, a8: A8, a9: A9, a10: A10, a11: A11);
    call_13(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7, a8: A8, a9: A9, a10: A10, a11: A11, a12: A12);
    call_14(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7, a8: A8, a9: A9, a10: A10, a11: A11, a12: A12, a13: A13);
    call_15(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7, a8: A8, a9: A9, a10: A10, a11: A11, a12: A12, a13: A13, a14: A14);
    call_16(a0: A0, a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7, a8: A8, a9: A9, a10: A10, a11: A11, a12: A12, a13: A13, a14: A14, a15: A15);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_handed_on_in_order() {
        assert_eq!(call_0(|| 7), 7);
        assert_eq!(call_3(1, "b", 'c', |a, b, c| format!("{a}{b}{c}")), "1bc");
    }

    #[test]
    fn a_captured_borrow_can_be_given_back() {
        fn first(items: &mut [u8]) -> &mut u8 {
            call_0(move || &mut items[0])
        }
        let mut items = [1, 2];
        *first(&mut items) = 9;
        assert_eq!(items, [9, 2]);
    }
}
