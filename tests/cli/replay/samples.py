"""Small excerpts in the shape of the real files."""

BERKA_HEADER = (
    '"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"\n'
)

BERKA = (
    BERKA_HEADER
    + """\
1;10;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;
2;11;930101;"PRIJEM";"VKLAD";900.50;900.50;"";;
3;10;930105;"VYDAJ";"VYBER";100.00;620.00;"";;
4;10;930105;"PRIJEM";"PREVOD Z UCTU";20.00;720.00;"DUCHOD";"AB";41403269
5;12;930106;"PRIJEM";"VKLAD";50.00;50.00;"";;
6;11;930131;"PRIJEM";"";3.24;903.80;"UROK";;
7;11;930131;"VYDAJ";"VYBER";14.60;889.10;"SLUZBY";;
8;12;930131;"VYBER";"VYBER";200.00;-150.00;" ";;
9;12;930228;"VYDAJ";"VYBER";1.10;-151.10;"SANKC. UROK";;
10;10;930301;"VYDAJ";"PREVOD NA UCET";99.90;520.10;"UVER";"CD";87144583
11;13;930331;"VYDAJ";"VYBER";14.60;80.40;"SLUZBY";;
"""
)
"""Account 10's fifth of January is out of order, 13 is cut as the real file's last day is."""

RETAIL = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536389,22196,SMALL HEART MEASURING SPOONS,24,12/1/2010 10:03,0.85,12431,Australia
C536379,D,Discount,-1,12/1/2010 9:41,27.50,14527,United Kingdom
536390,22960,"JAM, MAKING SET",3,12/1/2010 10:19,3.335,17511,United Kingdom
536389,22195,LARGE HEART MEASURING SPOONS,24,12/1/2010 10:03,1.65,12431,Australia
536391,22423,CAKESTAND,-2,12/1/2010 10:20,12.75,,United Kingdom
"""


def retail_of(count: int) -> str:
    """A file of `count` invoices, of 1.00, 2.00, ... pounds."""
    header = RETAIL.partition("\n")[0]
    lines = [f"{600000 + n},1,CUP,{n},12/1/2010 9:00,1.00,1,Norway" for n in range(1, count + 1)]
    return "\n".join([header, *lines, ""])
